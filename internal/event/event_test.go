package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"pmilter/internal/event"
)

const ourName = "1767225600.M000001P42Q1.pmilter.mx.example.org"

func sample() *event.Event {
	return &event.Event{
		ID: ourName, Queue: "archive", Time: time.Unix(1767225600, 1000).UTC(), QueueID: "4bC1",
		Client: event.Client{IP: "192.0.2.7", Port: 25000, Name: "mail.example.org", Family: "inet"},
		Helo:   "mail.example.org", Sender: "a@example.org", Recipients: []string{"b@example.net", "c@example.net"},
		Verdict: "accept", Complete: true, Data: json.RawMessage(`{"why":"é 𝄞","n":[1,2]}`),
	}
}

func written(t *testing.T, e *event.Event, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	bytesOf := make([][]byte, len(parts))
	for i, p := range parts {
		bytesOf[i] = []byte(p)
	}
	if err := event.Write(&b, e, bytesOf...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(t *testing.T, file, name string) (*event.Event, string) {
	t.Helper()
	e, message, err := event.Read(strings.NewReader(file), name)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(message)
	if err != nil {
		t.Fatal(err)
	}
	return e, string(content)
}

func same(t *testing.T, got, want *event.Event) {
	t.Helper()
	var a, b any
	if len(got.Data)+len(want.Data) > 0 {
		if json.Unmarshal(got.Data, &a) != nil || json.Unmarshal(want.Data, &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("data %s, want %s", got.Data, want.Data)
		}
	}
	g, w := *got, *want
	g.Data, w.Data = nil, nil
	if !reflect.DeepEqual(g, w) {
		t.Errorf("read\n%+v\nwant\n%+v", g, w)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	const message = "Subject: hi\r\n\r\nline\r\nodd \r cr\r\r\n.\r\nno end"
	file := written(t, sample(), "Subject: hi\r", "\n\r\nline\r\nodd ", "\r cr\r", "\r\n.\r\nno end")
	head, _, _ := strings.Cut(file, "Subject: hi")
	if !strings.HasPrefix(head, "X-Pmilter-Event: {\"id\":") || !strings.HasSuffix(head,
		"\nReturn-Path: <a@example.org>\nDelivered-To: b@example.net\nDelivered-To: c@example.net\n") {
		t.Errorf("lines above the message:\n%s", head)
	}
	for i := range len(head) {
		if head[i] > 0x7e {
			t.Fatalf("byte %#x above the message", head[i])
		}
	}
	e, got := read(t, file, ourName+",A=2,N=1767225600:2,S")
	same(t, e, sample())
	if got != message {
		t.Errorf("message %q", got)
	}
}

func TestFoldsLongValues(t *testing.T) {
	t.Parallel()
	e := sample()
	e.Data, _ = json.Marshal(map[string]any{"long": strings.Repeat("x\\\"é ", 5000), "list": make([]int, 3000)})
	for i := range 500 {
		e.Recipients = append(e.Recipients, strings.Repeat("r", i)+"@example.org")
	}
	file := written(t, e, "\r\nbody\r\n")
	for line := range strings.Lines(file) {
		if len(line) >= 998 {
			t.Fatalf("a line of %d bytes: %.60s", len(line), line)
		}
	}
	got, body := read(t, file, ourName)
	same(t, got, e)
	if body != "\r\nbody\r\n" {
		t.Errorf("body %q", body)
	}
}

// TestUnfoldsAsMailDoes: without strings of 900 bytes, a reader that takes the
// line ends alone away (RFC 5322 §2.2.3) finds the same JSON.
func TestUnfoldsAsMailDoes(t *testing.T) {
	t.Parallel()
	e := sample()
	for range 100 {
		e.Recipients = append(e.Recipients, "a, b: \"c\"@example.org")
	}
	file := written(t, e, "\r\n")
	field, _, _ := strings.Cut(strings.TrimPrefix(file, "X-Pmilter-Event: "), "\nReturn-Path")
	var got struct{ Recipients []string }
	if err := json.Unmarshal([]byte(strings.ReplaceAll(field, "\n ", " ")), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Recipients, e.Recipients) {
		t.Errorf("recipients %q", got.Recipients)
	}
}

func TestOddBytes(t *testing.T) {
	t.Parallel()
	e := sample()
	e.Sender = "caf\xe9\n\x00\"\\@\xff\xc3\xa9\U0001d11e"
	e.Recipients = []string{"\xed\xb2\x80@x", "\r\nX-Evil: 1", ""} // UTF-8 of a surrogate is no UTF-8
	e.Helo, e.QueueID, e.Client.Name, e.Data = "\x80\x81", "\x7f", "\xf0\x9d", nil
	file := written(t, e, "A: 1\r\n\r\n")
	if strings.Contains(file, "\nX-Evil") {
		t.Errorf("a line of its own:\n%s", file)
	}
	got, _ := read(t, file, ourName)
	same(t, got, e)
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	e := sample()
	e.Data = json.RawMessage(`"` + strings.Repeat("x", event.MaxHeader) + `"`)
	if err := event.Write(io.Discard, e); !errors.Is(err, event.ErrTooLong) {
		t.Errorf("write: %v", err)
	}
	file := "X-Pmilter-Event: " + strings.Repeat("x\n ", event.MaxHeader/3+10)
	if _, _, err := event.Read(strings.NewReader(file), ourName); !errors.Is(err, event.ErrTooLong) || !errors.Is(err, event.ErrDamaged) {
		t.Errorf("read: %v", err)
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	good := written(t, sample(), "A: 1\r\n\r\n")
	for name, file := range map[string]string{
		"cut in the JSON":     good[:60],
		"cut in the envelope": good[:strings.Index(good, "Delivered-To")+20],
		"no JSON":             "X-Pmilter-Event: yes\nReturn-Path: <>\n\n",
		"no id":               "X-Pmilter-Event: {}\nReturn-Path: <>\n\n",
		"no envelope":         strings.Replace(good, "Return-Path", "Return-Poth", 1),
		"no line end":         "X-Pmilter-Event: {}",
	} {
		if _, _, err := event.Read(strings.NewReader(file), ourName); !errors.Is(err, event.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForged: our line is believed only in a file that has our name and its id.
func TestForged(t *testing.T) {
	t.Parallel()
	forged := written(t, sample(), "Subject: x\r\n\r\n")
	guessed := sample()
	guessed.ID = "1767225600.Vfd01I2M4.mx.example.org"
	for file, content := range map[string]string{
		guessed.ID:                                       written(t, guessed, "Subject: x\r\n\r\n"), // the sender guessed what Postfix would name it
		"1767225600.Vfd01I2M3.mx.example.org":            forged,                                    // Postfix
		"1767225600.M5P6.mx.example.org,S=12,W=14":       forged,                                    // Dovecot
		"1767225600.M000005P6Q7.pmilter.example.org":     forged,                                    // Python on a host of that name
		"1767225600.M000001P42Q1.mx.example.org":         forged,
		"x" + ourName:                                    forged,
		ourName + ".":                                    forged,
		"1767225600.M000001P42Q1.pmilter.mx.example.com": "Return-Path: <m@x>\n" + forged,
	} {
		e, message := read(t, content, file)
		if !e.Foreign || e.Queue != "" || e.Data != nil || e.ID != file || e.Verdict != "accept" || !e.Complete {
			t.Errorf("%s is believed: %+v", file, e)
		}
		if strings.ReplaceAll(message, "\r\n", "\n") != content {
			t.Errorf("%s: the message is not the file: %q", file, message)
		}
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, sender, recipients string }{
		{"Return-Path: <a@x>\nX-Original-To: o@y\nDelivered-To: d@y\nReceived: by y\nDelivered-To: evil@y\n\n", "a@x", "d@y"},
		{"Return-Path: <>\nX-Original-To: o@y\nReceived: by y\nDelivered-To: evil@y\n\n", "", "o@y"},
		{"From a@x Thu\nReturn-Path: a@x\nDelivered-To: <d@y>\n\n", "a@x", "d@y"},
		{"Return-path: <a@x>\nEnvelope-to: b@y, c@y\nDelivery-date: Thu\nReceived: z\n", "a@x", "b@y|c@y"},
		{"Return-Path: <a@x>\r\nDelivered-To: d@y\r\n\r\nx\r\n", "a@x", "d@y"},
		{"Received: x\nReturn-Path: <evil@x>\n\n", "", ""},
		{"Return-Path: <a@x>\nReturn-Path: <evil@x>\n\n", "a@x", ""},
		{"Return-Path: <a@x>\n Delivered-To: evil@y\nDelivered-To: evil@y\n", "a@x", ""},
		{"", "", ""},
		{"Return-Path: <a@x", "", ""},
		{"\nDelivered-To: evil@y\n", "", ""},
	} {
		e, message := read(t, c.file, "1767225600.V1I2M3.mx")
		if e.Sender != c.sender || strings.Join(e.Recipients, "|") != c.recipients || !e.Foreign {
			t.Errorf("%q: sender %q, recipients %q", c.file, e.Sender, e.Recipients)
		}
		if strings.ReplaceAll(message, "\r\n", "\n") != strings.ReplaceAll(c.file, "\r\n", "\n") || strings.Contains(message, "\r\r") {
			t.Errorf("%q: message %q", c.file, message)
		}
		if e.Time.Unix() != 1767225600 {
			t.Errorf("time %v", e.Time)
		}
	}
}

func TestMark(t *testing.T) {
	t.Parallel()
	e := sample()
	e.Data = json.RawMessage(`"` + strings.Repeat("x", 100<<10) + `"`)
	for name, file := range map[string]string{
		ourName:                written(t, e, "Subject: x\r\n\r\nbody\r\n"),
		"1767225600.V1I2M3.mx": "Return-Path: <a@x>\nDelivered-To: b@y\nSubject: x\n\nbody\n",
		"x":                    "",
	} {
		var once, twice, back bytes.Buffer
		if err := event.Mark(&once, strings.NewReader(file), name, "it\r\nX-Evil: broke \x00\xff é"); err != nil {
			t.Fatal(err)
		}
		if err := event.Mark(&twice, bytes.NewReader(once.Bytes()), name, strings.Repeat("again ", 1000)); err != nil {
			t.Fatal(err)
		}
		if err := event.Mark(&back, bytes.NewReader(twice.Bytes()), name, ""); err != nil {
			t.Fatal(err)
		}
		if back.String() != file {
			t.Errorf("%s: after two marks and none it is another file", name)
		}
		plain, _ := read(t, file, name)
		marked, _ := read(t, once.String(), name)
		if plain.Failed != "" || marked.Failed != "it X-Evil: broke ?? é" {
			t.Errorf("%s: reasons %q and %q", name, plain.Failed, marked.Failed)
		}
		if marked.Failed = ""; !reflect.DeepEqual(plain, marked) {
			t.Errorf("%s: %+v, marked %+v", name, plain, marked)
		}
		if again, _ := read(t, twice.String(), name); len(again.Failed) > 900 || !strings.HasPrefix(again.Failed, "again again") {
			t.Errorf("%s: reason of %d bytes", name, len(again.Failed))
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	at := time.Unix(1767225600, 0)
	for file, want := range map[string]event.Name{
		"u":                           {Unique: "u"},
		"u,A=2,N=1767225600":          {Unique: "u", Attempts: 2, Next: at},
		"u,A=2,N=1767225600:2,FS":     {Unique: "u", Attempts: 2, Next: at, Flags: ":2,FS"},
		"u,A=2:2,":                    {Unique: "u", Attempts: 2, Flags: ":2,"},
		"u,N=1767225600":              {Unique: "u", Next: at},
		"1.M2P3.h,S=5,W=6,A=1":        {Unique: "1.M2P3.h,S=5,W=6", Attempts: 1},
		"u,A=x":                       {Unique: "u,A=x"},
		"u,A=":                        {Unique: "u,A="},
		"u,A=01":                      {Unique: "u,A=01"},
		"u,A=-1":                      {Unique: "u,A=-1"},
		"u,A=1234567890":              {Unique: "u,A=1234567890"},
		"u,N=123456789012":            {Unique: "u,N=123456789012"},
		",A=1":                        {Unique: ",A=1"},
		"u:2,S,A=1":                   {Unique: "u", Flags: ":2,S,A=1"},
		ourName + ",A=1,N=1767225600": {Unique: ourName, Attempts: 1, Next: at},
	} {
		if got := event.ParseName(file); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", file, got)
		}
		if got := event.ParseName(file).String(); got != file {
			t.Errorf("%s is written %s", file, got)
		}
	}
	made := event.Unique(time.Unix(1767225600, 1000), 42, 7, "h/o:s,t")
	if made != `1767225600.M000001P42Q7.pmilter.h\057o\072s\054t` || !event.ParseName(made).Ours() || event.ParseName(made).Unique != made {
		t.Errorf("name %s", made)
	}
	if !event.ParseName(ourName).Ours() || event.ParseName(ourName).Time().Unix() != 1767225600 || !event.ParseName("x.y").Time().IsZero() {
		t.Error("a name of ours is not known")
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	_ = event.Write(&b, sample(), []byte("Subject: hi\r\n\r\nbody"))
	f.Add(b.Bytes(), ourName)
	f.Add([]byte("X-Pmilter-Failed: x\n y\nReturn-Path: <a@x>\nDelivered-To: b@y\n\nz"), "1.V2.h")
	f.Add([]byte("X-Pmilter-Event: {\"id\":\"\\ud834\\udd1e\\udce9\"}\n"), ourName)
	f.Fuzz(func(t *testing.T, file []byte, name string) {
		if got := event.ParseName(name).String(); got != name {
			t.Fatalf("name %q is written %q", name, got)
		}
		e, message, err := event.Read(bytes.NewReader(file), name)
		if err != nil {
			return
		}
		content, err := io.ReadAll(message)
		if err != nil || len(content) > 2*len(file) {
			t.Fatalf("%d bytes of %d, %v", len(content), len(file), err)
		}
		if e.Foreign {
			return
		}
		var again bytes.Buffer
		if e.Failed = ""; event.Write(&again, e, content) != nil {
			return // its JSON grew
		}
		e2, message2, err := event.Read(&nopSeeker{again.Bytes(), 0}, name)
		if err != nil {
			t.Fatal(err)
		}
		same(t, e2, e)
		if content2, _ := io.ReadAll(message2); !bytes.Equal(content, content2) {
			t.Fatalf("message %q, then %q", content, content2)
		}
	})
}

// nopSeeker gives a byte at a time.
type nopSeeker struct {
	b  []byte
	at int
}

func (n *nopSeeker) Read(p []byte) (int, error) {
	if n.at == len(n.b) {
		return 0, io.EOF
	}
	p[0] = n.b[n.at]
	n.at++
	return 1, nil
}

func (n *nopSeeker) Seek(int64, int) (int64, error) { n.at = 0; return 0, nil }
