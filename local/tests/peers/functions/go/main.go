// A function as a team in Go has one. Each record says what becomes of it, or of the whole invocation. With the argument
// `parse` the program reads an event from standard input instead, and prints its records as JSON.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

type identifier struct {
	Partition string `json:"partition"`
	Offset    int64  `json:"offset"`
}

type failure struct {
	ItemIdentifier identifier `json:"itemIdentifier"`
}

type response struct {
	BatchItemFailures []failure `json:"batchItemFailures"`
}

type order struct {
	Do string `json:"do"`
}

func handle(_ context.Context, event events.KafkaEvent) (response, error) {
	answer := response{BatchItemFailures: []failure{}}
	for _, record := range all(event) {
		value, err := base64.StdEncoding.DecodeString(record.Value)
		if err != nil {
			return answer, err
		}
		var order order
		if err := json.Unmarshal(value, &order); err != nil {
			return answer, err
		}
		switch order.Do {
		case "raise":
			return answer, errors.New("this batch is refused")
		case "panic":
			panic("this batch is refused")
		case "exit":
			os.Exit(3)
		case "hang":
			time.Sleep(time.Minute)
		case "fail":
			partition := fmt.Sprintf("%s-%d", record.Topic, record.Partition)
			answer.BatchItemFailures = append(answer.BatchItemFailures, failure{identifier{partition, record.Offset}})
		}
	}
	return answer, nil
}

// all returns the records by partition and in the order of their offsets.
func all(event events.KafkaEvent) []events.KafkaRecord {
	var records []events.KafkaRecord
	for _, partition := range event.Records {
		records = append(records, partition...)
	}
	sort.SliceStable(records, func(i, j int) bool {
		if records[i].Partition != records[j].Partition {
			return records[i].Partition < records[j].Partition
		}
		return records[i].Offset < records[j].Offset
	})
	return records
}

type parsed struct {
	Topic     string      `json:"topic"`
	Partition int64       `json:"partition"`
	Offset    int64       `json:"offset"`
	Key       *string     `json:"key"`
	Value     string      `json:"value"`
	Headers   [][2]string `json:"headers"`
}

func parse() error {
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	var event events.KafkaEvent
	if err := decoder.Decode(&event); err != nil {
		return err
	}
	records := []parsed{}
	for _, record := range all(event) {
		headers := [][2]string{}
		for _, header := range record.Headers {
			for name, value := range header {
				headers = append(headers, [2]string{name, base64.StdEncoding.EncodeToString(value)})
			}
		}
		// The type has texts, which cannot be absent.
		key := &record.Key
		if record.Key == "" {
			key = nil
		}
		records = append(records, parsed{record.Topic, record.Partition, record.Offset, key, record.Value, headers})
	}
	return json.NewEncoder(os.Stdout).Encode(records)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "parse" {
		if err := parse(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	lambda.Start(handle)
}
