package packaging_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// TestPostfixKnowsTheSettings: postfix.md names no setting that Postfix does not have.
func TestPostfixKnowsTheSettings(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("postfix.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\b(?:non_smtpd_milters|smtpd_milter\w*|milter_\w+|internal_mail_filter_classes)\b`).FindAllString(string(page), -1)
	if len(names) < 20 {
		t.Fatalf("only %q", names)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "postconf", append([]string{"-d"}, names...)...)
	cmd.Stderr = &stderr
	if err := cmd.Run(); errors.Is(err, exec.ErrNotFound) {
		leaveOut(t, "no postconf")
	} else if err != nil || stderr.Len() > 0 {
		t.Errorf("postconf: %v\n%s", err, &stderr)
	}
}
