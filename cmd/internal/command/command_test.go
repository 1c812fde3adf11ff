package command_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"casdelius/cmd/internal/command"
)

// asProgram makes the test binary be a program with the commands below.
const asProgram = "CASDELIUS_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	_ = os.Unsetenv("COLUMNS") // the widths of terminals are the tests'
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("os/signal.loop"), // runs for ever once a signal was asked for
		goleak.IgnoreAnyFunction("os/signal.signal_recv"))
}

// program is a program with every kind of option.
type program struct {
	Show struct {
		Which   string        `arg:"" optional:""`
		CRN     []string      `name:"crn"`
		Cause   string        ``
		Servers []string      `env:"CASDELIUS_TEST_SERVERS"`
		Most    int           `env:"CASDELIUS_TEST_MOST" default:"7"`
		Rate    *float64      ``
		Search  time.Duration `default:"5m"`
	} `cmd:""`
	Files struct {
		Names []string `arg:""`
	} `cmd:""`
	Numbers struct {
		Sequences []uint64 `arg:"" name:"seq"`
	} `cmd:""`
	Print struct {
		Lines   int `default:"1"`
		Outcome int
	} `cmd:""`
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var p program
	return command.Main(ctx, "program", "", &p, args, stdout, stderr, func(_ context.Context, k *kong.Context, stdout, _ *command.Output) error {
		if k.Command() != "print" {
			return json.NewEncoder(stdout).Encode(&p)
		}
		for range p.Print.Lines {
			fmt.Fprintln(stdout, "a line")
		}
		if p.Print.Outcome != 0 {
			return command.Outcome(p.Print.Outcome)
		}
		return nil
	})
}

func tool(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestBlankValuesAreWrongUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args  []string
		names []string
	}{
		{[]string{"show", "--crn", ""}, []string{"--crn", `""`}},
		{[]string{"show", "--crn="}, []string{"--crn", `""`}},
		{[]string{"show", "--crn", " "}, []string{"--crn", `" "`}},
		{[]string{"show", "--crn", "X123456", "--crn", "\t"}, []string{"--crn", `"\t"`}},
		{[]string{"show", "--crn", "X123456,,X234567"}, []string{"--crn", `""`}},
		{[]string{"show", "--crn", ","}, []string{"--crn", `""`}},
		{[]string{"show", "--cause", ""}, []string{"--cause", `""`}},
		{[]string{"show", "--cause= "}, []string{"--cause", `" "`}},
		{[]string{"show", ""}, []string{"which", `""`}},
		{[]string{"show", " "}, []string{"which", `" "`}},
		{[]string{"show", "--most", ""}, []string{"--most", `""`}},
		{[]string{"show", "--rate", ""}, []string{"--rate", `""`}},
		{[]string{"show", "--search", " "}, []string{"--search", `" "`}},
		{[]string{"files", ""}, []string{"names", `""`}},
		{[]string{"files", "a", " "}, []string{"names", `" "`}},
		{[]string{"numbers", "1", ""}, []string{"seq", `""`}},
	} {
		code, stdout, stderr := tool(t, test.args...)
		require.Equal(t, 1, code, "%q: %s", test.args, stdout)
		for _, name := range test.names {
			require.Contains(t, stderr, name, "%q", test.args)
		}
	}
	code, stdout, stderr := tool(t, "show", "X", "--crn", "X123456,X234567", "--crn", "X345678", "--cause", "a b")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, `"CRN":["X123456","X234567","X345678"]`)
}

func TestBlankVariablesCountAsNotSet(t *testing.T) {
	t.Setenv("CASDELIUS_TEST_SERVERS", "")
	t.Setenv("CASDELIUS_TEST_MOST", " ")
	code, stdout, stderr := tool(t, "show")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, `"Servers":null,"Most":7`)
	code, stdout, _ = tool(t, "--help")
	require.Zero(t, code)
	require.Contains(t, stdout, "Usage: program")
}

func TestEveryProgramSaysWhatItWasBuiltFrom(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := tool(t, "--version")
	require.Zero(t, code, stderr)
	require.Regexp(t, `^program \S+, .*go1\.\d+`, stdout)
}

// start starts the program as a process of its own.
func start(t *testing.T, stdout *os.File, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd, stderr = exec.CommandContext(t.Context(), self, args...), &bytes.Buffer{}
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	require.NoError(t, cmd.Start())
	return cmd, stderr
}

func TestAFullDiskIsAnError(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, full.Close()) }()
	for _, args := range [][]string{{"print"}, {"print", "--lines", "10000"}, {"print", "--outcome", "2"}, {"show"}, {"--help"}} {
		cmd, stderr := start(t, full, args...)
		require.Error(t, cmd.Wait())
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), "%q", args)
		require.Contains(t, stderr.String(), "program: ")
		require.Contains(t, stderr.String(), "no space left on device")
	}
}

func TestAReaderThatWentAwayIsNoError(t *testing.T) {
	t.Parallel()
	for outcome, args := range map[int][]string{
		0: {"print", "--lines", "100000"},
		2: {"print", "--lines", "100000", "--outcome", "2"},
	} {
		read, write, err := os.Pipe()
		require.NoError(t, err)
		cmd, stderr := start(t, write, args...)
		require.NoError(t, write.Close())
		line, err := bufio.NewReaderSize(read, 16).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "a line\n", line)
		require.NoError(t, read.Close())
		_ = cmd.Wait() // the exit code is what counts
		require.Equal(t, outcome, cmd.ProcessState.ExitCode(), stderr.String())
		require.Empty(t, stderr.String())
	}
}

func TestAnOutputShowsWhatWouldSteerATerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain\ttext\n":          "plain\ttext\n",
		"Zoë · 東京 ✓\n":           "Zoë · 東京 ✓\n",
		"\x1b]0;title\a\x1b[2J":  `\x1b]0;title\x07\x1b[2J`,
		"overwritten\rby\r\nCR":  `overwritten\rby\r` + "\nCR",
		"\x00\b\v\f\x7f":         `\x00\x08\x0b\x0c\u007f`,
		"\u009b2J\u0085":         `\u009b2J\u0085`,
		"\x9b2J":                 `\x9b2J`,
		"a\u202eb\u2066c\u200fd": `a\u202eb\u2066c\u200fd`,
		"one\u2028line":          `one\u2028line`,
		"cut \xe6\x9d":           `cut \xe6\x9d`,
	} {
		for size := 1; size <= len(text); size++ {
			var to bytes.Buffer
			out := command.NewOutput(&to)
			for rest := []byte(text); len(rest) > 0; {
				n, err := out.Write(rest[:min(size, len(rest))])
				require.NoError(t, err)
				rest = rest[n:]
			}
			require.NoError(t, out.Close())
			require.Equal(t, want, to.String(), "%q, %d bytes a write", text, size)
		}
	}
}

func TestAnOutputLeavesJSONWhatItIs(t *testing.T) {
	t.Parallel()
	value := "\x1b[2J \u009b \u202e \x7f \u2028 \t \r\n é"
	var to bytes.Buffer
	out := command.NewOutput(&to)
	require.NoError(t, json.NewEncoder(out).Encode(value))
	require.NoError(t, out.Close())
	require.NotContains(t, to.String(), "\u202e")
	var back string
	require.NoError(t, json.Unmarshal(to.Bytes(), &back))
	require.Equal(t, value, back)
}

func TestACellOfATableIsOnOneLine(t *testing.T) {
	t.Parallel()
	var to bytes.Buffer
	table := command.NewTable(command.NewOutput(&to), command.Layout{}, command.Column{Name: "A"}, command.Column{Name: "B", Wraps: true})
	table.Row("one\ntwo", 3)
	table.Row("tab\tbed\v\f", "\u009b")
	require.NoError(t, table.Flush())
	require.Equal(t, []string{
		`A                 B`,
		`one\ntwo          3`,
		`tab\tbed\x0b\x0c  \u009b`,
		"",
	}, strings.Split(to.String(), "\n"))
}

func TestAnAddressToServeAtHasAPort(t *testing.T) {
	t.Parallel()
	for _, good := range []string{":8080", "127.0.0.1:0", "[::1]:80", "localhost:http"} {
		require.NoError(t, command.HTTP{Address: good}.Faults())
	}
	for _, bad := range []string{"8080", "127.0.0.1", ":70000", ":-1", "::1:80", ":nonsense"} {
		require.ErrorContains(t, command.HTTP{Address: bad}.Faults(), fmt.Sprintf("HTTP_ADDRESS is %q", bad))
	}
}
