package cmd_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"casdelius/projector/relay"
	"casdelius/store"
	"casdelius/store/storetest"
)

var update = flag.Bool("update", false, "rewrite docs/asyncapi.yaml")

const asyncAPIFile = "../docs/asyncapi.yaml"

// object is a schema of an object that has all of these, and may have others.
func object(properties says, required ...string) says {
	return says{"type": "object", "required": required, "properties": properties}
}

func text(description string) says { return says{"type": "string", "description": description} }

// nullable is a text that CAS or Delius may leave out or write as null.
func nullable(description string) says {
	return says{"type": []string{"string", "null"}, "description": description}
}

func instant(description string) says {
	return says{"type": "string", "format": "date-time", "description": description}
}

// localInstant is one that CAS or Delius writes.
func localInstant(description string) says {
	return nullable(description + ": RFC 3339, or without a zone in London's time")
}

func ref(path string) says { return says{"$ref": "#/" + path} }

// asyncAPI describes what comes in and what goes out, from the registry of types.
func asyncAPI() says {
	messages, incoming := says{}, says{}
	add := func(name string, message says) {
		messages[name] = message
		incoming[name] = ref("components/messages/" + name)
	}
	for _, typ := range store.Types() {
		add(string(typ), says{
			"name": typ, "title": "CAS event " + string(typ), "contentType": "application/json",
			"description": "Its detail is fetched from detailUrl, " + typ.DetailPath() + "/{id} below a base URL of MESSAGING_CONSUMER_DETAIL_URLS, and has the schema detail.",
			"headers":     eventTypeIs(string(typ)), "payload": says{"allOf": []says{ref("components/schemas/notification"), {"properties": says{"eventType": says{"const": typ}}}}},
		})
	}
	for _, typ := range store.PersonTypes() {
		add(string(typ), says{
			"name": typ, "title": "Person event " + string(typ), "contentType": "application/json",
			"description": "Delius tells that a person has changed. The referrals of whom it names are looked at again; nothing else is taken from it.",
			"headers":     eventTypeIs(string(typ)), "payload": says{"allOf": []says{ref("components/schemas/personEvent"), {"properties": says{"eventType": says{"const": typ}}}}},
		})
	}
	outgoing := says{}
	for _, kind := range []string{"created", "updated"} {
		typ := "probation-case.address." + kind
		messages[typ] = says{
			"name": typ, "title": "Notice of an address row", "contentType": "application/json",
			"description": "An address row was " + kind + ". At least once, in order for each person.",
			"headers":     eventTypeIs(typ), "payload": says{"allOf": []says{ref("components/schemas/notice"), {"properties": says{"eventType": says{"const": typ}}}}},
		}
		outgoing[typ] = ref("components/messages/" + typ)
	}
	messages["stored"] = says{
		"title": "An event as it is stored: a CloudEvent in binary mode", "contentType": "application/json",
		"headers": storedHeaders(), "payload": ref("components/schemas/detail"),
	}
	messages["rejected"] = says{
		"title": "A message that can never become an event, whole", "contentType": "application/octet-stream",
		"payload": text("the queue message's body exactly as received"),
	}
	reasons := []string{}
	for _, reason := range store.Reasons() {
		reasons = append(reasons, string(reason))
	}
	return says{
		"asyncapi": "3.1.0",
		"info": says{
			"title": "casdelius", "version": "0.1.0", "license": says{"name": "MIT"},
			"description": "What comes in and what goes out. Generated from the registry of types: go test ./cmd -run AsyncAPI -update",
		},
		"defaultContentType": "application/json",
		"channels": says{
			"domainEvents": says{
				"address": "hmpps-domain-events", "title": "HMPPS's domain events", "messages": incoming,
				"description": "An SNS topic, with a subscription of a queue that filters by the message attribute eventType.",
			},
			"notices": says{"address": "hmpps-domain-events", "title": "Notices of address rows", "messages": outgoing, "description": "The SNS topic of MESSAGING_PRODUCER_TOPIC."},
			"events": says{
				"address": "cas.events.{service}.{referral}", "title": "The stream CAS_EVENTS", "messages": says{"stored": ref("components/messages/stored")},
				"parameters": says{"service": says{"enum": []string{string(store.CAS2), string(store.CAS3)}}, "referral": says{"description": "id of the application or the booking"}},
			},
			"rejected": says{
				"address": "cas.rejected.{reason}", "title": "The stream CAS_REJECTED", "messages": says{"rejected": ref("components/messages/rejected")},
				"parameters": says{"reason": says{"enum": reasons}},
			},
		},
		"operations": says{
			"receive":       says{"action": "receive", "channel": ref("channels/domainEvents"), "summary": "ingest takes them off its queue."},
			"store":         says{"action": "send", "channel": ref("channels/events"), "summary": "ingest stores each with its detail."},
			"reject":        says{"action": "send", "channel": ref("channels/rejected"), "summary": "ingest moves aside what can never become an event."},
			"follow":        says{"action": "receive", "channel": ref("channels/events"), "summary": "projector works out what should stand in Delius."},
			"publishNotice": says{"action": "send", "channel": ref("channels/notices"), "summary": "projector tells others of address rows that it has written."},
		},
		"components": says{"messages": messages, "schemas": schemas()},
	}
}

func eventTypeIs(typ string) says {
	return object(says{"eventType": says{"const": typ, "description": "message attribute, by which subscriptions filter"}}, "eventType")
}

func storedHeaders() says {
	return object(says{
		store.HeaderSpec: says{"const": "1.0"}, store.HeaderID: text("the event's id"), store.HeaderType: text("the event's type"),
		store.HeaderSource: text("where it comes from"), store.HeaderSubject: text("the referral"), store.HeaderTime: instant("the detail's timestamp"),
		store.HeaderDetail: text("the detailUrl"), store.HeaderCRN: text("whom it is of"), store.HeaderNOMS: text("likewise"),
		store.HeaderOccurred: instant("the notification's occurredAt"), store.HeaderReceived: instant("when it was taken off the queue"),
		store.HeaderSum: text("SHA-256 of the body"),
	}, store.HeaderSpec, store.HeaderID, store.HeaderType, store.HeaderSubject, store.HeaderTime)
}

func schemas() says {
	identifiers := says{"type": []string{"array", "null"}, "items": says{"type": []string{"object", "null"}, "properties": says{"type": nullable("CRN or NOMS"), "value": nullable("the number")}}}
	person := says{"type": []string{"object", "null"}, "properties": says{"identifiers": identifiers}}
	return says{
		"notification": object(says{
			"eventType": text("the type"), "version": says{"const": 1}, "detailUrl": says{"type": "string", "format": "uri"},
			"occurredAt": localInstant("when it happened"), "personReference": person,
			"additionalInformation": says{"type": []string{"object", "null"}, "description": "applicationId or bookingId, and others"},
		}, "eventType", "version", "detailUrl"),
		"personEvent": object(says{
			"eventType": text("the type"), "version": says{"const": 1}, "occurredAt": localInstant("when it happened"),
			"personReference": person, "additionalInformation": says{"type": "object", "description": "of merges the CRNs, of prison numbers the previous one"},
		}, "eventType", "version"),
		"detail": object(says{
			"id": text("the event's id"), "timestamp": localInstant("orders the events of a contact"), "eventType": text("the type"),
			"eventDetails": says{"type": "object", "description": "by type, see projector/delius/read.go"},
		}, "id", "timestamp", "eventDetails"),
		"notice": object(says{
			"eventType": text("the type"), "version": says{"const": 1}, "occurredAt": instant("when the row was written, in London"), "description": text("for a person"),
			"additionalInformation": object(says{"addressId": says{"type": "integer"}, "addressStatus": text("code of its status")}, "addressId"),
			"personReference":       person,
		}, "eventType", "version", "occurredAt", "description", "additionalInformation"),
	}
}

// Catches a type that is added and not described: others build on what is described.
func TestTheAsyncAPIDocumentDescribesEveryType(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	encoder := yaml.NewEncoder(&want)
	encoder.SetIndent(2)
	plain, err := json.Marshal(asyncAPI())
	require.NoError(t, err)
	var document map[string]any
	require.NoError(t, json.Unmarshal(plain, &document))
	require.NoError(t, encoder.Encode(document))
	if *update {
		require.NoError(t, os.WriteFile(asyncAPIFile, want.Bytes(), 0o600))
	}
	have, err := os.ReadFile(asyncAPIFile)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(have), "run go test ./cmd -run AsyncAPI -update")
}

// compiled is the schema of a message's payload in the document.
func compiled(t *testing.T, message string) *jsonschema.Schema {
	t.Helper()
	plain, err := json.Marshal(asyncAPI())
	require.NoError(t, err)
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("asyncapi.json", resource))
	schema, err := compiler.Compile("asyncapi.json#/components/" + message)
	require.NoError(t, err)
	return schema
}

func valid(schema *jsonschema.Schema, body string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.TrimPrefix(body, "\ufeff"))) // some details begin with a mark
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// What is published and served in tests is what the document describes. It catches a schema that
// takes anything.
func TestTheAsyncAPIDocumentDescribesWhatIsSent(t *testing.T) {
	t.Parallel()
	seen, detail := map[store.Type]*jsonschema.Schema{}, compiled(t, "schemas/detail")
	for h := range storetest.Generate(storetest.Options{Seed: 1, People: 60, BaseURL: "https://cas.example"}) {
		for _, e := range h.Events {
			if seen[e.Type] == nil {
				seen[e.Type] = compiled(t, "messages/"+string(e.Type)+"/payload")
			}
			require.NoError(t, valid(seen[e.Type], string(e.Notification)))
			require.NoError(t, valid(detail, string(e.Body)))
			require.Error(t, valid(seen[e.Type], string(e.Body)), "a detail is no notification")
		}
	}
	require.Len(t, seen, len(store.Types()))

	notice := relay.Notice{Kind: "created", Number: 1, AddressID: 7, CRN: "X000001", Status: "M", Occurred: time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)}
	body := notice.Message().Body
	require.NoError(t, valid(compiled(t, "messages/probation-case.address.created/payload"), body))
	require.Error(t, valid(compiled(t, "messages/probation-case.address.updated/payload"), body))
}
