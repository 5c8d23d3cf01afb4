// Writes ten records with a Kafka client in Go and reads what its group has not read yet: CLIENT BOOTSTRAP TOPIC GROUP PREFIX,
// where CLIENT is kafka-go, sarama or franz-go. Prints the values, one a line.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

const count = 10

type arguments struct {
	servers              []string
	topic, group, prefix string
}

func (a arguments) value(i int) []byte {
	return []byte(fmt.Sprintf("%s-%d", a.prefix, i))
}

func kafkaGo(ctx context.Context, a arguments) error {
	writer := kafkago.Writer{Addr: kafkago.TCP(a.servers...), Topic: a.topic, RequiredAcks: kafkago.RequireAll,
		Compression: kafkago.Gzip, BatchTimeout: 10 * time.Millisecond}
	var messages []kafkago.Message
	for i := range count {
		messages = append(messages, kafkago.Message{Key: []byte("k"), Value: a.value(i)})
	}
	if err := writer.WriteMessages(ctx, messages...); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	reader := kafkago.NewReader(kafkago.ReaderConfig{Brokers: a.servers, Topic: a.topic, GroupID: a.group,
		StartOffset: kafkago.FirstOffset, MaxWait: time.Second})
	for range count {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return err
		}
		fmt.Println(string(message.Value))
	}
	return reader.Close()
}

type printing struct{ done context.CancelFunc }

func (printing) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (printing) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (p printing) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	read := 0
	for message := range claim.Messages() {
		fmt.Println(string(message.Value))
		session.MarkMessage(message, "")
		if read++; read == count {
			session.Commit()
			p.done()
			return nil
		}
	}
	return nil
}

func saramaClient(ctx context.Context, a arguments) error {
	config := sarama.NewConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Compression = sarama.CompressionGZIP
	config.Producer.Return.Successes = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	producer, err := sarama.NewSyncProducer(a.servers, config)
	if err != nil {
		return err
	}
	for i := range count {
		message := sarama.ProducerMessage{Topic: a.topic, Key: sarama.StringEncoder("k"), Value: sarama.ByteEncoder(a.value(i))}
		if _, _, err := producer.SendMessage(&message); err != nil {
			return err
		}
	}
	if err := producer.Close(); err != nil {
		return err
	}
	group, err := sarama.NewConsumerGroup(a.servers, a.group, config)
	if err != nil {
		return err
	}
	reading, done := context.WithCancel(ctx)
	for reading.Err() == nil {
		if err := group.Consume(reading, []string{a.topic}, printing{done}); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return group.Close()
}

func franzGo(ctx context.Context, a arguments) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(a.servers...), kgo.ConsumeTopics(a.topic), kgo.ConsumerGroup(a.group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	if err != nil {
		return err
	}
	for i := range count {
		record := kgo.Record{Topic: a.topic, Key: []byte("k"), Value: a.value(i)}
		if err := client.ProduceSync(ctx, &record).FirstErr(); err != nil {
			return err
		}
	}
	for read := 0; read < count; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			fmt.Println(string(record.Value))
			read++
		})
	}
	if err := client.CommitUncommittedOffsets(ctx); err != nil {
		return err
	}
	client.CloseAllowingRebalance()
	return nil
}

func main() {
	clients := map[string]func(context.Context, arguments) error{
		"kafka-go": kafkaGo, "sarama": saramaClient, "franz-go": franzGo,
	}
	given := os.Args[1:]
	if len(given) != 5 || clients[given[0]] == nil {
		fmt.Fprintln(os.Stderr, "usage: CLIENT BOOTSTRAP TOPIC GROUP PREFIX")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := clients[given[0]](ctx, arguments{strings.Split(given[1], ","), given[2], given[3], given[4]}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
