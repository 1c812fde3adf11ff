package cmd_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/store"
)

// personEvents are by what Delius tells that a person has changed.
var personEvents = []string{
	"probation-case.merge.completed", "probation-case.unmerge.completed",
	"probation-case.prison-identifier.added", "probation-case.prison-identifier.updated",
}

// Catches an event type that is missing in the filter, so that nobody ever hears of it, and
// settings of the queue that ingest itself would warn of.
func TestTheTerraformOfTheQueueAsksForEveryTypeAndKeepsMessagesLongEnough(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../docs/deploy.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(docs), "```hcl\n")
	require.True(t, found)
	terraform, _, found := strings.Cut(rest, "```")
	require.True(t, found)

	var types []string
	for _, known := range store.Types() {
		types = append(types, string(known))
	}
	_, list, found := strings.Cut(terraform, "eventType = [")
	require.True(t, found)
	list, _, _ = strings.Cut(list, "]")
	require.Equal(t, append(types, personEvents...), quoted(list))

	queues := resources(terraform, "aws_sqs_queue")
	require.Len(t, queues, 2)
	for name, body := range queues {
		require.Regexp(t, `message_retention_seconds += 1209600\b`, body, name)
		require.Regexp(t, `kms_master_key_id += aws_kms_key\.casdelius\.arn\b`, body, name)
	}
	require.Regexp(t, `maxReceiveCount += 10\b`, queues["casdelius"])
	require.Regexp(t, `deadLetterTargetArn = aws_sqs_queue\.casdelius_dlq\.arn\b`, queues["casdelius"])
	require.NotContains(t, queues["casdelius_dlq"], "redrive_policy")

	// Every address that is referred to is there, and every bracket is closed.
	for _, address := range regexp.MustCompile(`\b(?:data\.)?aws_[a-z_]+\.[a-z_]+\b`).FindAllString(terraform, -1) {
		kind := "resource"
		rest, data := strings.CutPrefix(address, "data.")
		if data {
			kind = "data"
		}
		typ, name, _ := strings.Cut(rest, ".")
		require.Contains(t, terraform, kind+` "`+typ+`" "`+name+`" {`)
	}
	for _, pair := range []string{"{}", "[]", "()"} {
		require.Equal(t, strings.Count(terraform, pair[:1]), strings.Count(terraform, pair[1:]), pair)
	}
}

// quoted are the texts in quotation marks.
func quoted(s string) (texts []string) {
	for _, m := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(s, -1) {
		texts = append(texts, m[1])
	}
	return texts
}

// resources are those of a type, by their names, with what stands in them.
func resources(terraform, typ string) map[string]string {
	all := map[string]string{}
	for _, m := range regexp.MustCompile(`(?ms)^resource "`+typ+`" "([a-z_]+)" \{\n(.*?)^\}`).FindAllStringSubmatch(terraform, -1) {
		all[m[1]] = m[2]
	}
	return all
}
