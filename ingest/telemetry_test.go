package ingest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// Catches a detailUrl that is told with its secrets, identifiers under other names, and an
// identifier that is told although there is none.
func TestANotificationIsToldWithThePropertiesThatDashboardsQuery(t *testing.T) {
	t.Parallel()
	for identifiers, told := range map[string]string{
		`[{"type":"NOMS","value":"A1234BC"},{"type":"CRN","value":"x123456"}]`: `"identifiers":{"crn":"X123456","noms":"A1234BC"},"CRN":"X123456","NOMS":"A1234BC"`,
		`[{"type":"CRN","value":"X123456"},{"type":"NOMS","value":"null"}]`:    `"identifiers":{"crn":"X123456","noms":""},"CRN":"X123456"`,
	} {
		n, err := DecodeNotification([]byte(`{"eventType":"accommodation.cas3.person.arrived","version":1,
			"detailUrl":"https://user:secret@cas.example/events/1?token=secret","personReference":{"identifiers":` + identifiers + `}}`))
		require.NoError(t, err)
		var said bytes.Buffer
		logger := slog.New(slog.NewJSONHandler(&said, nil))
		NewIntake(nil, nil, logger, NewMetrics(prometheus.NewRegistry())).received(t.Context(), &n)
		var line map[string]any
		require.NoError(t, json.Unmarshal(said.Bytes(), &line))
		delete(line, "time")
		got, err := json.Marshal(line)
		require.NoError(t, err)
		require.JSONEq(t, `{"level":"INFO","msg":"NotificationReceived","microsoft.custom_event.name":"NotificationReceived",
			"eventType":"accommodation.cas3.person.arrived","detailUrl":"https://cas.example/events/1",`+told+`}`, string(got))
	}
}
