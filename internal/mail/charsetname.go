package mail

import (
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// wide is the encodings of Unicode whose units are larger than a byte. Without a
// mark the order is what ASCII in the text shows, or else big (RFC 2781 §4.3).
func wide(key string, data []byte) encoding.Encoding {
	switch key {
	case "utf16", "ucs2", "iso10646ucs2", "unicode", "csunicode", "utf16be", "unicodefffe", "unicodebig", "utf16le", "unicodefeff":
		order := unicode.BigEndian
		even, odd := zeroes(data)
		if odd > even || odd == even && strings.HasSuffix(key, "le") {
			order = unicode.LittleEndian
		}
		return unicode.UTF16(order, unicode.UseBOM)
	case "utf32", "ucs4", "iso10646ucs4", "utf32be":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case "utf32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM)
	}
	return nil
}

// zeroes counts them at even and odd places at the beginning of data.
func zeroes(data []byte) (even, odd int) {
	for i, c := range data[:min(len(data), 1024)] {
		switch {
		case c != 0:
		case i%2 == 0:
			even++
		default:
			odd++
		}
	}
	return even, odd
}

// named finds a character set by its squeezed name, as browsers do (WHATWG), with
// the larger set for one that mailers write when they mean that: windows-1252 for
// ISO-8859-1, GB18030 for GB2312.
func named(key string) encoding.Encoding {
	switch key {
	case "gb2312", "gb231280", "gb23121980", "gbk", "gb18030", "xgbk", "cngb", "euccn", "eucgb", "xeuccn", "chinese", "csgb2312", "cp936", "ms936", "windows936", "cp54936":
		return simplifiedchinese.GB18030
	case "hz", "hzgb2312", "hzgb":
		return simplifiedchinese.HZGB2312
	case "big5", "cnbig5", "xbig5", "xxbig5", "big5hkscs", "big5eten", "csbig5", "cp950", "ms950", "windows950", "chinesebig5":
		return traditionalchinese.Big5
	case "shiftjis", "sjis", "xsjis", "mskanji", "csshiftjis", "windows31j", "cswindows31j", "cp932", "ms932", "windows932", "shiftjisx0213", "shiftjis2004":
		return japanese.ShiftJIS
	case "eucjp", "xeucjp", "ujis", "eucjpms", "eucjpwin", "cp51932", "eucjisx0213", "extendedunixcodepackedformatforjapanese":
		return japanese.EUCJP
	case "iso2022jp", "csiso2022jp", "iso2022jp1", "iso2022jp2", "iso2022jp3", "iso2022jp2004", "iso2022jpms", "cp50220", "cp50221", "cp50222", "jis", "jis7":
		return japanese.ISO2022JP
	case "euckr", "ksc5601", "ksc56011987", "ksc56011989", "ksx1001", "uhc", "korean", "cseuckr", "cp949", "ms949", "windows949", "cp51949", "isoir149":
		return korean.EUCKR
	case "tis620", "cp874", "windows874", "iso885911", "tis62025331":
		return charmap.Windows874
	case "koi8", "koi8r", "cskoi8r", "cp20866":
		return charmap.KOI8R
	case "koi8u", "koi8ru", "cp21866":
		return charmap.KOI8U
	case "macintosh", "macroman", "xmacroman", "mac", "xmac", "cp10000":
		return charmap.Macintosh
	case "maccyrillic", "xmaccyrillic", "xmacukrainian", "cp10007":
		return charmap.MacintoshCyrillic
	}
	return numbered(key)
}

// numbered is the sets that have a number, whatever stands before it.
func numbered(key string) encoding.Encoding {
	number := strings.TrimLeft(key, "abcdefghijklmnopqrstuvwxyz")
	if number == "" || len(number) > 7 || strings.Trim(number, "0123456789") != "" {
		return nil
	}
	name := ""
	switch prefix := key[:len(key)-len(number)]; prefix {
	case "latin", "isolatin":
		name = "latin" + number
	case "iso", "xiso", "":
		if part, ok := strings.CutPrefix(number, "8859"); ok {
			name = "iso-8859-" + part
		}
	case "windows", "win", "ansi", "ms", "xwindows":
		name = "windows-" + number
	case "cp", "xcp", "ibm", "xibm", "dos", "oem", "pc", "csibm", "cspc":
		if e := codePage(number); e != nil {
			return e
		}
		name = "windows-" + number
		if part, ok := strings.CutPrefix(number, "285"); ok && part > "90" { // Windows' numbers of ISO 8859
			name = "iso-8859-" + part[1:]
		} else if part, ok := strings.CutPrefix(number, "2860"); ok {
			name = "iso-8859-1" + part
		}
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		return codePage(number)
	}
	return e
}

// codePage is those of DOS and of large computers.
func codePage(number string) encoding.Encoding {
	switch number {
	case "037", "37":
		return charmap.CodePage037
	case "437":
		return charmap.CodePage437
	case "850":
		return charmap.CodePage850
	case "852":
		return charmap.CodePage852
	case "855":
		return charmap.CodePage855
	case "858":
		return charmap.CodePage858
	case "860":
		return charmap.CodePage860
	case "862":
		return charmap.CodePage862
	case "863":
		return charmap.CodePage863
	case "865":
		return charmap.CodePage865
	case "866":
		return charmap.CodePage866
	case "1047":
		return charmap.CodePage1047
	case "1140":
		return charmap.CodePage1140
	}
	return nil
}
