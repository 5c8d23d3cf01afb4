// Powertools' consumer for Kafka with keys and values in JSON. It adds what it got to the file RECEIVED, a line of JSON for each
// record.

"use strict";

const { appendFileSync } = require("node:fs");
const { kafkaConsumer, SchemaType } = require("@aws-lambda-powertools/kafka");

const schema = (metadata) => (metadata ? [metadata.dataFormat, metadata.schemaId] : null);

exports.handler = kafkaConsumer(
  async (event) => {
    for (const { offset, key, value, keySchemaMetadata, valueSchemaMetadata } of event.records) {
      const line = {
        offset,
        key: key ?? null,
        value,
        keySchema: schema(keySchemaMetadata),
        valueSchema: schema(valueSchemaMetadata),
      };
      appendFileSync(process.env.RECEIVED, `${JSON.stringify(line)}\n`);
    }
  },
  { key: { type: SchemaType.JSON }, value: { type: SchemaType.JSON } },
);
