// The CloudEvents SDK for JavaScript as a caller of the producer, and as a reader of what it wrote.
//
// Usage: cloudevents_sdk.js send URL
//        cloudevents_sdk.js check FILE     (records as JSON, in the order in which they were sent)

"use strict";

const assert = require("node:assert/strict");
const { CloudEvent, HTTP, Kafka } = require("cloudevents");

const common = { specversion: "1.0", source: "/peers/javascript", type: "com.example.peer", time: "2018-04-05T17:31:00.000Z" };

const EVENTS = [
  { id: "javascript-1", datacontenttype: "application/json", partitionkey: "c-17", data: { total: 1990, note: "커피 ☕" } },
  { id: "javascript-2", datacontenttype: "text/plain", subject: "coffee", data: "plain text" },
  { id: "javascript-3", datacontenttype: "application/json", myextension: "a", data: [1, 2] },
  { id: "javascript-4", datacontenttype: "application/json", partitionkey: "k", data: { n: 1 } },
].map((event) => new CloudEvent({ ...common, ...event }));

async function post(url, headers, body) {
  const answer = await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(30000) });
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  for (const offset of JSON.parse(text).offsets) {
    assert.equal(offset.error_code, null, text);
  }
}

async function send(url) {
  for (const event of EVENTS) {
    const { headers, body } = HTTP.binary(event);
    await post(url, headers, body);
  }
  const bodies = [];
  for (const event of EVENTS) {
    const { headers, body } = HTTP.structured(event);
    await post(url, headers, body);
    bodies.push(body);
  }
  // The SDK reads batches and does not write them: an array of what it writes is one.
  await post(url, { "content-type": "application/cloudevents-batch+json" }, `[${bodies.join(",")}]`);
}

function check(records) {
  const modes = ["binary", "structured", "batch"];
  assert.equal(records.length, modes.length * EVENTS.length);
  const bytes = (text) => (text === null ? undefined : Buffer.from(text, "base64"));
  records.forEach((record, place) => {
    const sent = EVENTS[place % EVENTS.length];
    const mode = modes[Math.floor(place / EVENTS.length)];
    const headers = Object.fromEntries(record.headers.map(([name, value]) => [name, bytes(value).toString()]));
    const key = bytes(record.key)?.toString();
    const value = bytes(record.value).toString();
    const read = Kafka.toEvent({ headers, key, value, body: value });
    assert.deepEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify(sent)), `${mode}, ${sent.id}`);
    assert.equal(key, sent.partitionkey, `${mode}, ${sent.id}`);
    const structured = headers["content-type"] === "application/cloudevents+json; charset=UTF-8";
    assert.equal(structured, mode !== "binary", `${mode}, ${sent.id}`);
  });
  console.log(`${records.length} records read as the events that were sent`);
}

const [what, where] = process.argv.slice(2);
if (what === "send") {
  send(where).catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
} else {
  check(JSON.parse(require("node:fs").readFileSync(where, "utf8")));
}
