package cmd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"casdelius/cmd/internal/projection"
	roles "casdelius/deploy/nats"
	"casdelius/projector/postgres/postgrestest"
	"casdelius/store/jetstream"
	"casdelius/store/jetstream/natstest"
)

// authority signs certificates, and stands in a file.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: t.Name()}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem"), key: key}
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return a
}

// sign makes a server's certificate for localhost, and no other name or address.
func (a *authority) sign(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// named is a server's URL by a name instead of an address.
func named(t *testing.T, server, name string) *url.URL {
	t.Helper()
	address, err := url.Parse(server)
	require.NoError(t, err)
	address.Host = net.JoinHostPort(name, address.Port())
	return address
}

// Catches a connection that takes any certificate, of any authority or for any name, and an error
// that does not say what to set.
func TestNATSIsConnectedToByTLSAsARoleAndAnotherServerIsRefused(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t), newAuthority(t)
	pair, err := tls.X509KeyPair(pemPair(ours.sign(t)))
	require.NoError(t, err)
	server := natstest.Start(t, natstest.Options{Roles: roles.Roles, TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	connect := func(name, file string) error {
		log, err := jetstream.Connect(ctx, jetstream.Config{
			URL: named(t, server.URLAs(natstest.Administrator), name).String(), Inbox: natstest.InboxOf(natstest.Administrator), CA: file, Replicas: 1,
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		defer log.Close() //nolint:errcheck // the test is over
		return log.Ensure(ctx)
	}
	require.NoError(t, connect("localhost", ours.file))
	require.ErrorContains(t, connect("localhost", others.file), "NATS_CA "+others.file+": set it to a file with the authority")
	require.ErrorContains(t, connect("localhost", ""), "NATS_CA is not set: set it to a file with the authority")
	require.ErrorContains(t, connect("127.0.0.1", ours.file), "NATS_URL: name the server there as its certificate does")
}

func pemPair(cert, key string) (certificate, private []byte) { return []byte(cert), []byte(key) }

// Catches the same of the database, where nothing but sslmode=verify-full looks at the name.
func TestPostgreSQLIsConnectedToByVerifiedTLSAndAnotherServerIsRefused(t *testing.T) {
	t.Parallel()
	cluster, err := postgrestest.Run(ctx, postgrestest.Options{Memory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	ours, others := newAuthority(t), newAuthority(t)
	pool, err := pgxpool.New(ctx, cluster.URL("postgres"))
	require.NoError(t, err)
	defer pool.Close()
	cert, key := ours.sign(t)
	var folder string
	require.NoError(t, pool.QueryRow(ctx, "show data_directory").Scan(&folder))
	for file, text := range map[string]string{"server.crt": cert, "server.key": key} { // as the server's user
		_, err := pool.Exec(ctx, "copy (select unnest(string_to_array('"+strings.TrimSpace(text)+"', E'\\n'))) to program 'umask 077; cat > "+filepath.Join(folder, file)+"'")
		require.NoError(t, err)
	}
	for _, statement := range []string{"alter system set ssl = on", "select pg_reload_conf()"} {
		_, err := pool.Exec(ctx, statement)
		require.NoError(t, err)
	}
	connect := func(name, file string) error {
		address := named(t, cluster.URL("postgres"), name)
		address.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {file}}.Encode()
		verified, err := projection.Delius(address.String()).Connect(ctx, 1)
		if err == nil {
			verified.Close()
		}
		return err
	}
	eventually(t, "the server takes encrypted connections", func() bool { return connect("localhost", ours.file) == nil })
	require.ErrorContains(t, connect("localhost", others.file), "name the authority that has signed the server's certificate, by sslrootcert=FILE in DELIUS_DATABASE_URL")
	require.ErrorContains(t, connect("127.0.0.1", ours.file), "name the server in DELIUS_DATABASE_URL as its certificate does")
}
