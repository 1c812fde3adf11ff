package ingest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/ingest"
)

// The JSON library's own text quotes what it stumbled over. Catches that text in an error.
func TestAnErrorAboutJSONQuotesNothingOfIt(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"notes":"SECRET\x"}`, `{"id":"SECRET" "x"}`, `{"SECRET":1,"SECRET":2}`, `{"eventType":SECRET}`, `"SECRET"`, `["SECRET"]`, `{"a":"SECRET`, `SECRET`, `{"Type":{"SECRET":1},"Message":"x"}`,
		`{"eventType":{"SECRET":1},"version":1}`, `{"eventType":"accommodation.cas3.person.arrived","version":"SECRET"}`, `{"eventType":"accommodation.cas3.person.arrived","version":1,"detailUrl":["SECRET"]}`,
	} {
		_, err := ingest.DecodeNotification([]byte(body))
		require.Error(t, err, body)
		require.NotContains(t, err.Error(), "SECRET", body)
		n := ingest.Notification{}
		_, err = n.Event([]byte(body))
		require.Error(t, err, body)
		require.NotContains(t, err.Error(), "SECRET", body)
	}
}
