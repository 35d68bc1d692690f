// Calls whose types openapi-typescript has made, in the same folder: each answer as a line of JSON. URL
import createClient from "openapi-fetch";
import type { paths as Digits } from "./digits.js";
import type { paths as Places } from "./places.js";
import type { paths as Questions } from "./question_answering.js";
import type { paths as Posts } from "./social_posts.js";

const baseUrl = process.argv[2];
const show = (answer: { data?: unknown; error?: unknown }) => console.log(JSON.stringify(answer.data ?? answer.error));

const digits = createClient<Digits>({ baseUrl });
const pixels = [1, 1, 1];
show(await digits.POST("/v1/models/digits:predict", { body: { instances: [pixels] } }));
show(await digits.POST("/v1/models/digits:predict", { body: { inputs: { pixels: [pixels] }, non_finite: "null" } }));
const tensor = { name: "pixels", datatype: "FP32", shape: [1, 3], data: pixels } as const;
show(await digits.POST("/v2/models/digits/infer", { body: { inputs: [{ ...tensor, shape: [1, 3] }] } }));

const posts = createClient<Posts>({ baseUrl });
show(await posts.POST("/v1/models/social_posts:predict", { body: { signature_name: "from_text", instances: ["four"] } }));

const places = createClient<Places>({ baseUrl });
const file = { photo: { b64: "/w==" }, place: [3, 4] };
show(await places.POST("/v1/models/places:predict", { body: { signature_name: "from_bytes", instances: [file] } }));

const questions = createClient<Questions>({ baseUrl });
const row = { text: "Mary moved.", question: "Where?" };
const path = "/v1/models/question_answering:predict";
show(await questions.POST(path, { body: { signature_name: "from_text", instances: [row] } }));
// @ts-expect-error: an input that is misspelt
await questions.POST(path, { body: { signature_name: "from_text", instances: [{ txt: "Mary moved.", question: "Where?" }] } });
// @ts-expect-error: text for the signature that takes numbers
await questions.POST(path, { body: { instances: [row] } });
