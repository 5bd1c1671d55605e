package mailedit

import "strings"

// flow is text as format=flowed has it (RFC 3676): lines over 78 characters are
// broken after a space, which a reader takes back; with delSp after one more, which
// it takes away.
func flow(text string, delSp bool) string {
	const width = 76
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if line != "-- " { // the line above a signature (§4.3)
			line = strings.TrimRight(line, " ")
		}
		for len(line) > width+2 {
			at := strings.LastIndexByte(line[:width], ' ') + 1
			if at <= 1 {
				if at = strings.IndexByte(line[1:], ' ') + 2; at < 2 {
					break
				}
			}
			if strings.TrimLeft(line[at:], " ") == "" {
				break
			}
			piece := stuff(line[:at])
			if delSp {
				piece += " "
			}
			out, line = append(out, piece), line[at:]
		}
		out = append(out, stuff(line))
	}
	return strings.Join(out, "\n")
}

// stuff puts a space before what would be taken for something else (§4.4).
func stuff(line string) string {
	if strings.HasPrefix(line, " ") || strings.HasPrefix(line, ">") || strings.HasPrefix(line, "From ") {
		return " " + line
	}
	return line
}

// flowsOn tells of text whose last line goes on in the next.
func flowsOn(text string) bool {
	text = strings.TrimSuffix(text, "\n")
	last := text[strings.LastIndexByte(text, '\n')+1:]
	return strings.HasSuffix(last, " ") && last != "-- "
}
