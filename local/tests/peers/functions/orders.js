// A function as a team with Powertools has one. Each record says what becomes of it, or of the whole invocation.

"use strict";

const { kafkaConsumer, SchemaType } = require("@aws-lambda-powertools/kafka");

exports.handler = kafkaConsumer(
  async (event) => {
    const batchItemFailures = [];
    for (const { topic, partition, offset, value } of event.records) {
      if (value.do === "raise") throw new Error("this batch is refused");
      if (value.do === "throw text") throw "this batch is refused";
      if (value.do === "throw null") throw null;
      if (value.do === "throw undefined") throw undefined;
      if (value.do === "throw object") throw { refused: true };
      if (value.do === "exit") process.exit(3);
      if (value.do === "hang") await new Promise((resolve) => setTimeout(resolve, 60_000));
      if (value.do === "fail") batchItemFailures.push({ itemIdentifier: { partition: `${topic}-${partition}`, offset } });
    }
    return { batchItemFailures };
  },
  { value: { type: SchemaType.JSON } },
);
