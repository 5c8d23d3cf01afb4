// A function as a team with Powertools has one. Each record says what becomes of it, or of the whole invocation.

"use strict";

const { kafkaConsumer, SchemaType } = require("@aws-lambda-powertools/kafka");

exports.handler = kafkaConsumer(
  async (event) => {
    const batchItemFailures = [];
    for (const { topic, partition, offset, value } of event.records) {
      if (value.do === "raise") throw new Error("this batch is refused");
      if (value.do === "exit") process.exit(3);
      if (value.do === "hang") await new Promise((resolve) => setTimeout(resolve, 60_000));
      if (value.do === "fail") batchItemFailures.push({ itemIdentifier: { partition: `${topic}-${partition}`, offset } });
    }
    return { batchItemFailures };
  },
  { value: { type: SchemaType.JSON } },
);
