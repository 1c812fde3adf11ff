package projector_test

import (
	"testing"

	"go.uber.org/goleak"

	"casdelius/projector/postgres"
	"casdelius/projector/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(postgrestest.Main(m, postgrestest.Granted(postgres.Grants, postgres.Migrate)))
}
