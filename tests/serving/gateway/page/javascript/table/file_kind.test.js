import assert from "node:assert/strict";
import { test } from "node:test";

import { BrokenFile } from "../../../../../../serving/gateway/page/static/model/table/csv.js";
import { kindOf } from "../../../../../../serving/gateway/page/static/model/table/file_kind.js";

const utf8 = (/** @type {string} */ text) => new TextEncoder().encode(text);
const utf16 = (/** @type {string} */ text) => Uint8Array.from([...text].flatMap((each) => [each.charCodeAt(0) & 255, each.charCodeAt(0) >> 8]));
const joined = (/** @type {Uint8Array[]} */ ...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));

test("a file is what it holds, whatever it is called", () => {
  /** @type {[Uint8Array, string, string, string, number][]} */
  const table = [
    [utf8("a,b\n1,2\n"), "x.csv", "csv", "a,b\n1,2\n", 0],
    [utf8("\ufeffa,b\n"), "x.csv", "csv", "a,b\n", 0],
    [utf8('{"a":1}\n'), "x.jsonl", "jsonl", '{"a":1}\n', 0],
    [utf8('[{"a":1}]'), "x.json", "json", '[{"a":1}]', 0],
    [utf8('{"a":1}\n'), "x.csv", "jsonl", '{"a":1}\n', 1],
    [utf8("PAR1..."), "x.parquet", "parquet", "", 0],
    [utf8("PAR1..."), "x.csv", "parquet", "", 1],
    [utf8("ARROW1.."), "x.feather", "arrow", "", 0],
    [joined(Uint8Array.of(255, 255, 255, 255), utf8("x")), "x.arrows", "arrow", "", 0],
    [joined(Uint8Array.of(255, 254), utf16("a;ü\n")), "x.csv", "csv", "a;ü\n", 1],
    [utf16("a,b\n1,2\n"), "x.csv", "csv", "a,b\n1,2\n", 1],
    [joined(utf8("name\nM"), Uint8Array.of(0xfc), utf8("ller\n")), "x.csv", "csv", "name\nMüller\n", 1],
  ];
  for (const [bytes, name, kind, text, notes] of table) {
    const found = kindOf(bytes, name);
    assert.deepEqual([found.kind, found.text, found.notes.length], [kind, text, notes], name);
  }
});

test("what is no table is told for what it is", () => {
  /** @type {[Uint8Array, RegExp][]} */
  const table = [
    [utf8(""), /is empty/],
    [utf8(" \n \n"), /nothing but blanks/],
    [Uint8Array.of(0x50, 0x4b, 3, 4, 0), /ZIP.*xlsx.*CSV/],
    [Uint8Array.of(0x1f, 0x8b, 8), /gzip/],
    [Uint8Array.of(0x89, 0x50, 0x4e, 0x47), /picture/],
    [Uint8Array.from({ length: 300 }, (_, place) => (place * 7) % 256), /is no text|broken/],
    [joined(utf8("ü,"), Uint8Array.of(0xfc), utf8(",b\n")), /broken as UTF-8/],
    [utf8("a\0b,c\n"), /is no text/],
  ];
  for (const [bytes, message] of table) assert.throws(() => kindOf(bytes, "x.csv"), (error) => error instanceof BrokenFile && message.test(error.message), String(message));
});
