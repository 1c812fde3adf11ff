package command

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/alecthomas/kong"
)

// healthcheckTime bounds the question, within what a container is usually given for it.
const healthcheckTime = 4 * time.Second

// Healthcheck is a command that asks the service in the same container whether it is ready: an
// image with nothing in it but the program has no other means of asking.
type Healthcheck struct {
	HTTP HTTP `embed:"" prefix:"http-"`
}

// Help implements kong.HelpProvider.
func (Healthcheck) Help() string {
	return `Asks /health/readiness at HTTP_ADDRESS on this machine and exits with 0 if the service is ready, else with 1 and what is DOWN. It is for the health check of a container.`
}

// Faults names what is wrong with the options.
func (h *Healthcheck) Faults() error { return h.HTTP.Faults() }

// Run asks.
func (h *Healthcheck) Run(ctx context.Context, k *kong.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTime)
	defer cancel()
	host, port, err := net.SplitHostPort(h.HTTP.Address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost" // the service listens on every address of this machine
	}
	url := "http://" + net.JoinHostPort(host, port) + "/health/readiness"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("the service cannot be asked, is it running? HTTP_ADDRESS is %s: %w", h.HTTP.Address, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("the service's answer breaks off: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the service is not ready: %s %s", answer.Status, body)
	}
	fmt.Fprintf(k.Stdout, "%s", body)
	return nil
}
