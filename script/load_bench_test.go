package script

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkBundle is a reload of 20 scripts without its settling and its trial run.
func BenchmarkBundle(b *testing.B) {
	files := map[string]string{"scripts/lib/shared.ts": "export const shared = (s: string) => /^\\p{L}+$/u.test(s);\n"}
	for i := range 20 {
		body := strings.Repeat("  if (sender.domain === 'example.org' && session.helo.startsWith('x')) return reject(550, '5.7.1', `no ${n}`);\n", 15)
		files[fmt.Sprintf("scripts/%d.ts", i)] = fmt.Sprintf("import { reject } from 'pmilter'; import { shared } from './lib/shared';\nlet n = %d;\nexport function mail(session: any, sender: any) {\n  n += shared(sender.local) ? 1 : 2;\n%s}\n", i, body)
	}
	base := project(b, files)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, faults := newBundle(Options{Base: base, Scripts: []string{"scripts"}}); faults.Fatal() {
			b.Fatal(faults)
		}
	}
}
