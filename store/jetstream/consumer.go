package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	js "github.com/nats-io/nats.go/jetstream"
)

// maxAckPending is how many events may be in the hands of all followers of one durable
// name together: a dozen processes with two batches of 500 ahead and one in work.
const maxAckPending = 20_000

func (l *Log) consumerConfig(durable string) js.ConsumerConfig {
	return js.ConsumerConfig{
		Durable:       durable,
		DeliverPolicy: js.DeliverAllPolicy,
		AckPolicy:     js.AckExplicitPolicy,
		AckWait:       l.cfg.AckWait,
		MaxDeliver:    -1, // a limit would drop events without a word
		MaxAckPending: maxAckPending,
		ReplayPolicy:  js.ReplayInstantPolicy,
	}
}

// ensureConsumer gives the consumer, which it makes if it is missing, and looks at its settings.
func (l *Log) ensureConsumer(ctx context.Context, durable string) (js.Consumer, error) {
	want := l.consumerConfig(durable)
	consumer, err := l.js.Consumer(ctx, EventsStream, durable)
	if errors.Is(err, js.ErrConsumerNotFound) {
		consumer, err = l.js.CreateConsumer(ctx, EventsStream, want)
		if errors.Is(err, js.ErrConsumerExists) { // another process was quicker, of another version perhaps
			consumer, err = l.js.Consumer(ctx, EventsStream, durable)
		}
	}
	if err != nil {
		return nil, translate("make or read "+nameOf(durable), err)
	}
	missed, weaker := compareConsumers(&consumer.CachedInfo().Config, &want)
	if len(missed) > 0 {
		return nil, &SettingsError{nameOf(durable), missed}
	}
	for _, d := range weaker {
		l.logger.WarnContext(ctx, nameOf(durable)+" is not as it should be: "+d.String())
	}
	return consumer, nil
}

func nameOf(durable string) string {
	return fmt.Sprintf("consumer %q of stream %s", durable, EventsStream)
}

// What there is to do about a consumer.
const (
	update   = "run `projector migrate`"
	makeAnew = "delete it: it is made again, and begins with the first event"
)

var ackPolicies = map[js.AckPolicy]string{js.AckExplicitPolicy: "explicit", js.AckAllPolicy: "all", js.AckNonePolicy: "none"}

// compareConsumers lists the differences by which events would not come, and the others.
func compareConsumers(have, want *js.ConsumerConfig) (missed, weaker []Difference) {
	add := func(list *[]Difference, differs bool, setting string, have, want any, do string) {
		if differs {
			*list = append(*list, Difference{setting, fmt.Sprint(have), fmt.Sprint(want), do})
		}
	}
	filters := slices.Clone(have.FilterSubjects)
	if have.FilterSubject != "" {
		filters = append(filters, have.FilterSubject)
	}
	add(&missed, have.DeliverPolicy != want.DeliverPolicy, "deliver_policy", have.DeliverPolicy, want.DeliverPolicy, makeAnew)
	add(&missed, have.AckPolicy != want.AckPolicy, "ack_policy", ackPolicies[have.AckPolicy], ackPolicies[want.AckPolicy], makeAnew)
	add(&missed, have.DeliverSubject != "", "deliver_subject", have.DeliverSubject, "none", makeAnew)
	add(&missed, have.MaxDeliver != want.MaxDeliver, "max_deliver", have.MaxDeliver, want.MaxDeliver, update)
	add(&missed, len(filters) > 0, "filter_subjects", filters, "none", update)
	add(&missed, have.HeadersOnly, "headers_only", have.HeadersOnly, false, update)
	add(&weaker, have.AckWait != want.AckWait, "ack_wait", have.AckWait, want.AckWait, update)
	add(&weaker, have.MaxAckPending != want.MaxAckPending, "max_ack_pending", have.MaxAckPending, want.MaxAckPending, update)
	return missed, weaker
}

// UpdateConsumer makes the consumer of a durable name have the settings that it should, if
// there is one, and says what was changed. Nothing else ever changes one: of two versions that
// run at once, each would undo what the other did.
func (l *Log) UpdateConsumer(ctx context.Context, durable string) ([]Difference, error) {
	want := l.consumerConfig(durable)
	consumer, err := l.js.Consumer(ctx, EventsStream, durable)
	switch {
	case errors.Is(err, js.ErrConsumerNotFound), errors.Is(err, js.ErrStreamNotFound):
		return nil, nil // it will be made as it should be
	case err != nil:
		return nil, translate("read "+nameOf(durable), err)
	}
	missed, weaker := compareConsumers(&consumer.CachedInfo().Config, &want)
	changes := slices.Concat(missed, weaker)
	for _, d := range missed {
		if d.Do == makeAnew {
			return nil, &SettingsError{nameOf(durable), missed}
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	if _, err := l.js.UpdateConsumer(ctx, EventsStream, want); err != nil {
		return nil, translate("change "+nameOf(durable), err)
	}
	for i := range changes {
		changes[i].Do = ""
	}
	return changes, nil
}
