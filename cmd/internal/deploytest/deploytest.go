// Package deploytest reads what deploy/ sets, for tests of the programs that are given it.
package deploytest

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"go.yaml.in/yaml/v3"
)

// part are the variables of one container.
type part struct {
	Env     map[string]string            `yaml:"env"`
	Secrets map[string]map[string]string `yaml:"secrets"`
	Generic map[string]map[string]string `yaml:"namespace_secrets"`
}

// Variables are those that the values of both charts set for a program, each with the file that
// sets it. Of the chart of our own the parts are named; generic is the file of the other one, which
// has none for jobs: "".
func Variables(tb testing.TB, deploy, generic string, parts ...string) map[string]string {
	tb.Helper()
	set := map[string]string{}
	for _, name := range parts {
		p := own(tb, deploy, name)
		p.addTo(set, "casdelius/values.yaml, "+name)
	}
	if generic == "" {
		return set
	}
	var other struct {
		Service part `yaml:"generic-service"`
	}
	read(tb, filepath.Join(deploy, "helm", "generic-service", generic), &other)
	other.Service.addTo(set, generic)
	return set
}

// Values are the variables that a part of the chart of our own sets, with their values; those of
// secrets are not there to be read, and have the secret's name.
func Values(tb testing.TB, deploy, name string) map[string]string {
	tb.Helper()
	p := own(tb, deploy, name)
	set := maps.Clone(p.Env)
	for secret, variables := range p.Secrets {
		for variable := range variables {
			set[variable] = secret
		}
	}
	return set
}

// own is a part of the chart of our own.
func own(tb testing.TB, deploy, name string) (p part) {
	tb.Helper()
	all := map[string]yaml.Node{}
	read(tb, filepath.Join(deploy, "helm", "casdelius", "values.yaml"), &all)
	node, there := all[name]
	if !there {
		tb.Fatalf("the chart's values have no part %s", name)
	}
	if err := node.Decode(&p); err != nil {
		tb.Fatal(err)
	}
	return p
}

func (p *part) addTo(set map[string]string, where string) {
	for variable := range p.Env {
		set[variable] = where
	}
	for _, secrets := range []map[string]map[string]string{p.Secrets, p.Generic} {
		for _, variables := range secrets {
			for variable := range variables {
				set[variable] = where
			}
		}
	}
}

func read(tb testing.TB, file string, into any) {
	tb.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
}

var named = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b`)

// Known are the variables that a program's help names.
func Known(help string) map[string]bool {
	known := map[string]bool{}
	for _, variable := range named.FindAllString(help, -1) {
		known[variable] = true
	}
	return known
}
