// The npm package kafka-rest, unchanged, as a caller of the producer in its compatible mode.
//
// Usage: kafka_rest.js send URL            (URL ends with /topics/<topic>/partitions/0)
//        kafka_rest.js check FILE          (records as JSON, in the order in which they were sent)

"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const KafkaRest = require("kafka-rest");

const RECORDS = [
  { key: null, value: "plain" },
  { key: "key-1", value: "value-1" },
  { key: "key-2", value: "커피 ☕" },
  { key: "key-3", value: null },
];

const call = (receiver, method, ...values) =>
  new Promise((resolve, reject) => {
    receiver[method](...values, (error, answer) => (error ? reject(new Error(error.message)) : resolve(answer)));
  });

async function send(target) {
  const url = new URL(target);
  const topic = url.pathname.split("/")[2];
  const client = new KafkaRest({ url: url.origin, timeout: 30000 });
  const topics = await call(client.topics, "list");
  assert.ok(topics.some((it) => it.name === topic));
  const partitions = await call(client.topic(topic).partitions, "list");
  assert.ok(partitions.every((it) => it.raw.leader >= 0 && it.raw.replicas.length > 0));
  await call(client.topic(topic), "get");
  const [first, ...rest] = RECORDS;
  // A value alone, then records with keys, to the partition and to the topic.
  const answers = [
    await call(client.topic(topic).partition(0), "produce", first.value),
    await call(client.topic(topic), "produce", rest.map((record) => ({ ...record, partition: 0 }))),
  ];
  const offsets = answers.flatMap((answer) => answer.offsets.map((it) => [it.partition, it.offset]));
  assert.deepEqual(offsets, RECORDS.map((_, offset) => [0, offset]));
  await assert.rejects(call(client.topic("nowhere"), "produce", "x"), /cannot be written here/);
}

function check(records) {
  const text = (base64) => (base64 === null ? null : Buffer.from(base64, "base64").toString());
  assert.deepEqual(records.map(({ key, value }) => ({ key: text(key), value: text(value) })), RECORDS);
  console.log(`${records.length} records read as they were sent`);
}

const [command, argument] = process.argv.slice(2);
if (command === "send") {
  send(argument).catch((error) => {
    console.error(error);
    process.exit(1);
  });
} else {
  check(JSON.parse(fs.readFileSync(argument, "utf8")));
}
