package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Catches candidates of another command, of a command that was only meant as a value, and a
// default command whose options are not known because nobody types its name.
func TestCompletionKnowsCommandsOptionsAndValues(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string][]string{
		"con":                              {"conflicts", "console"},
		"parked ":                          {"list", "retry"},
		"parked --ca":                      {"--cause"},
		"parked retry --a":                 {"--all", "--as"},
		"parked retry --wi":                nil,
		"parked --cause staff":             {"staff-not-found"},
		"parked retry --cause=bad-d":       {"--cause=bad-detail"},
		"parked retry --cause = bad-d":     {"bad-detail"},
		"--mess":                           {"--messaging-producer-topic"},
		"--log-level parked con":           {"conflicts", "console"},
		"audit --by parked --js":           {"--json"},
		"grants --for console-":            {"console-writer"},
		"completion ":                      {"bash", "fish", "zsh"},
		"history X123456 --ex":             {"--explain"},
		"verify --repair --delius-databas": {"--delius-database-url"},
	} {
		words := strings.Split(typed, " ")
		code, stdout, stderr := tool(t, append([]string{"--complete"}, words...)...)
		require.Zero(t, code, stderr)
		require.Equal(t, want, append([]string(nil), strings.Fields(stdout)...), typed)
	}
}

// Catches a script that the shell does not understand. The other shells' are not run here.
func TestBashCompletes(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	folder := t.TempDir()
	program := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asProgram, self)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "projector"), []byte(program), 0o700))
	shell := exec.Command("bash", "--norc", "-c", `source <(projector completion bash) && complete -p projector &&
		COMP_WORDS=(projector parked --cause st) COMP_CWORD=3 && _projector && echo "${COMPREPLY[@]}" &&
		COMP_WORDS=(projector parked "") COMP_CWORD=2 && _projector && echo "${COMPREPLY[@]}"`)
	shell.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"))
	said, err := shell.CombinedOutput()
	require.NoError(t, err, string(said))
	require.Equal(t, "complete -o default -F _projector projector\nstaff-not-found\nlist retry\n", string(said))

	for _, other := range []string{"zsh", "fish"} {
		code, stdout, stderr := tool(t, "completion", other)
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, "(projector --complete ", other)
	}
}
