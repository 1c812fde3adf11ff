package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"casdelius/cmd/internal/service"
	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/projector/relay"
	"casdelius/projector/sns"
)

// relayConnections are those that a relay uses beside the workers.
const relayConnections = 3

// shortestLease leaves a call to the topic half a second.
const shortestLease = time.Second

// notices is how a service tells others of address rows.
type notices struct {
	relay *relay.Relay
	topic *sns.Topic // nil without one
}

// notices makes the relay.
func (c *runCommand) notices(ctx context.Context, db *postgres.Database, s *session, registry prometheus.Registerer) (*notices, error) {
	config := relay.Config{Holder: holder(), Lease: c.Lease, Logger: s.logger, Registry: registry}
	if c.Topic == "" {
		return &notices{relay: relay.New(db.Outbox, nil, config)}, nil
	}
	topic, err := sns.Open(ctx, c.Topic)
	if err != nil {
		return nil, err
	}
	return &notices{relay.New(db.Outbox, topic, config), topic}, nil
}

// holder names this process, and no other one, where it has leases.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s, process %d, %s", host, os.Getpid(), uuid.NewString())
}

// committed wakes the relay when a step has kept notices.
func (n *notices) committed(applied projector.Applied, _ time.Time) {
	if applied.Notices > 0 {
		n.relay.Wake()
	}
}

// checks are the parts of health that concern notices.
func (n *notices) checks() []service.Check {
	checks := []service.Check{{Name: "notices", Serving: true, Run: n.relay.Ready}}
	if n.topic == nil {
		return checks
	}
	look := func(ctx context.Context) (map[string]string, error) {
		details := map[string]string{"topicArn": n.topic.ARN()}
		listening, err := n.topic.Subscriptions(ctx)
		if err == nil {
			details["subscriptionsConfirmed"], details["subscriptionsPending"] = strconv.Itoa(listening.Confirmed), strconv.Itoa(listening.Pending)
		}
		return details, err
	}
	return append(checks, service.Check{Name: "topic", Details: look, Run: func(ctx context.Context) error {
		_, err := look(ctx)
		return err
	}})
}
