// Reads an event with Powertools' schema for zod and with its consumer for Kafka, and prints its records as JSON.

"use strict";

const { readFileSync } = require("node:fs");
const { kafkaConsumer } = require("@aws-lambda-powertools/kafka");
const { KafkaMskEventSchema } = require("@aws-lambda-powertools/parser/schemas/kafka");

const base64 = (bytes) => Buffer.from(bytes).toString("base64");

async function main() {
  const document = JSON.parse(readFileSync(0, "utf8"));
  // It refuses what it does not know.
  KafkaMskEventSchema.parse(document);
  const handler = kafkaConsumer(async (event) => event.records, {});
  const records = await handler(document, {});
  console.log(
    JSON.stringify(
      records.map(({ topic, partition, offset, originalKey, originalValue, originalHeaders }) => ({
        topic,
        partition,
        offset,
        key: originalKey ?? null,
        value: originalValue ?? null,
        headers: (originalHeaders ?? []).flatMap(Object.entries).map(([name, bytes]) => [name, base64(bytes)]),
      })),
    ),
  );
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
