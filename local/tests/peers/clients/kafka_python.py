"""Writes ten records with kafka-python and reads what its group has not read yet: BOOTSTRAP TOPIC GROUP PREFIX.

Prints the values, one a line.
"""

import sys

from kafka import KafkaConsumer, KafkaProducer

bootstrap, topic, group, prefix = sys.argv[1:]
servers = bootstrap.split(",")

producer = KafkaProducer(bootstrap_servers=servers, compression_type="gzip")
for i in range(10):
    producer.send(topic, key=b"k", value=f"{prefix}-{i}".encode())
producer.flush(30)
producer.close()

consumer = KafkaConsumer(
    topic, bootstrap_servers=servers, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
)
count = 0
for record in consumer:
    print(record.value.decode())
    count += 1
    if count == 10:
        break
consumer.commit()
consumer.close()
