// Writes ten records with KafkaJS and reads what its group has not read yet: kafkajs.js BOOTSTRAP TOPIC GROUP PREFIX.
// Prints the values, one a line.
const { CompressionTypes, Kafka, logLevel } = require('kafkajs');

const [bootstrap, topic, groupId, prefix] = process.argv.slice(2);
const kafka = new Kafka({ clientId: 'kafkajs', brokers: bootstrap.split(','), logLevel: logLevel.ERROR });

async function main() {
  const producer = kafka.producer();
  await producer.connect();
  const messages = [...Array(10).keys()].map((i) => ({ key: 'k', value: `${prefix}-${i}` }));
  await producer.send({ topic, messages, compression: CompressionTypes.GZIP });
  await producer.disconnect();

  const consumer = kafka.consumer({ groupId });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  let count = 0;
  const done = new Promise((resolve) => {
    consumer.run({
      eachMessage: async ({ message }) => {
        console.log(message.value.toString());
        if (++count === messages.length) resolve();
      },
    });
  });
  await done;
  // Stopping commits what was read.
  await consumer.stop();
  await consumer.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
