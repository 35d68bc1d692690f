"""Calls by Python clients that openapi-generator has made, which lie in the path: each answer as a line of JSON. URL"""

import sys
from typing import Any

import places_api as places
import question_answering_api as questions

URL = sys.argv[1]


def show(answer: Any) -> None:
    print(answer.to_json(), flush=True)


api = places.PlacesApi(places.ApiClient(places.Configuration(host=URL)))
file = places.PlacesFromBytesRow(photo=places.Bytes(b64="/w=="), place=[3.0, 4.0])
request = places.PlacesFromBytesRowsRequest(signature_name="from_bytes", instances=[file])
show(api.places_predict(places.PlacesPredictRequest(request)))
columns = places.PlacesColumns(pixels=[[1, 2, 255]], place=[[3.0, 4.0]])
show(api.places_predict(places.PlacesPredictRequest(places.PlacesColumnsRequest(inputs=columns))))
pixel_data, place_data = places.PlacesPixelsInputData([1, 2, 255]), places.PlacesPlaceInputData([3.0, 4.0])
pixels = places.PlacesPixelsInput(name="pixels", datatype="UINT8", shape=[1, 3], data=pixel_data)
place = places.PlacesPlaceInput(name="place", datatype="FP32", shape=[1, 2], data=place_data)
tensors = places.PlacesTensorsRequest(inputs=[places.PlacesAnyInput(pixels), places.PlacesAnyInput(place)])
show(api.places_infer(places.PlacesInferRequest(tensors)))

asked = questions.QuestionAnsweringApi(questions.ApiClient(questions.Configuration(host=URL)))
body = {"instances": [{"text": [2, 3, 4], "question": [5]}]}
show(asked.question_answering_predict(questions.QuestionAnsweringPredictRequest.from_dict(body)))
