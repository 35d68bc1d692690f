"""Calls by clients that openapi-python-client has made, which lie in the path: each answer as one line. URL"""

import sys

from digits_client import Client as DigitsClient
from digits_client.api.digits import digits_infer, digits_predict
from digits_client.models import (
    DigitsColumns,
    DigitsColumnsRequest,
    DigitsPixelsInput,
    DigitsRow,
    DigitsRowsRequest,
    DigitsTensorsRequest,
    DigitsValuesRequest,
)
from places_client import Client as PlacesClient
from places_client.api.places import places_predict
from places_client.models import Bytes, PlacesFromBytesRow, PlacesFromBytesRowsRequest, PlacesRow, PlacesRowsRequest
from question_answering_client import Client as QuestionsClient
from question_answering_client.api.question_answering import question_answering_infer, question_answering_predict
from question_answering_client.models import (
    QuestionAnsweringFromTextInferParameters,
    QuestionAnsweringFromTextQuestionInput,
    QuestionAnsweringFromTextTensorsRequest,
    QuestionAnsweringFromTextTextInput,
    QuestionAnsweringRow,
    QuestionAnsweringRowsRequest,
)
from social_posts_client import Client as PostsClient
from social_posts_client.api.social_posts import social_posts_predict
from social_posts_client.models import (
    SocialPostsFromTextRow,
    SocialPostsFromTextRowsRequest,
    SocialPostsFromTextValuesRequest,
    SocialPostsValuesRequest,
)

URL = sys.argv[1]


def show(answer: object) -> None:
    print(answer, flush=True)


with DigitsClient(URL, raise_on_unexpected_status=True) as digits:
    pixels = [1.0] * 3
    show(digits_predict.sync(client=digits, body=DigitsValuesRequest(instances=[pixels])))
    show(digits_predict.sync(client=digits, body=DigitsRowsRequest(instances=[DigitsRow(pixels)], named_outputs=True)))
    show(digits_predict.sync(client=digits, body=DigitsColumnsRequest(inputs=DigitsColumns([pixels]))))
    tensor = DigitsPixelsInput(name="pixels", datatype="FP32", shape=[1, 3], data=pixels)
    show(digits_infer.sync(client=digits, body=DigitsTensorsRequest(inputs=[tensor])))

with QuestionsClient(URL, raise_on_unexpected_status=True) as questions:
    numbers = QuestionAnsweringRow(text=[2, 3, 4], question=[5])
    show(question_answering_predict.sync(client=questions, body=QuestionAnsweringRowsRequest(instances=[numbers])))
    parameters = QuestionAnsweringFromTextInferParameters(signature_name="from_text")
    text = QuestionAnsweringFromTextTextInput(name="text", datatype="BYTES", shape=[1], data=["Mary moved."])
    question = QuestionAnsweringFromTextQuestionInput(name="question", datatype="BYTES", shape=[1], data=["Where?"])
    request = QuestionAnsweringFromTextTensorsRequest(parameters=parameters, inputs=[text, question])
    show(question_answering_infer.sync(client=questions, body=request))

with PostsClient(URL, raise_on_unexpected_status=True) as posts:
    one = SocialPostsFromTextRowsRequest(signature_name="from_text", instances=[SocialPostsFromTextRow("four")])
    show(social_posts_predict.sync(client=posts, body=one))
    values = SocialPostsFromTextValuesRequest(signature_name="from_text", instances=["four"])
    show(social_posts_predict.sync(client=posts, body=values))
    show(social_posts_predict.sync(client=posts, body=SocialPostsValuesRequest(instances=[[1, 2]])))

with PlacesClient(URL, raise_on_unexpected_status=True) as places:
    file = PlacesFromBytesRow(photo=Bytes("/w=="), place=[3.0, 4.0])
    body = PlacesFromBytesRowsRequest(signature_name="from_bytes", instances=[file])
    show(places_predict.sync(client=places, body=body))
    row = PlacesRow(pixels=[1, 2, 255], place=[3.0, 4.0])
    show(places_predict.sync(client=places, body=PlacesRowsRequest(instances=[row])))
