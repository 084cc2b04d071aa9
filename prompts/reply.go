package prompts

import (
	"strings"
)

// The rules by which an e-mail's own text is told from what it repeats. They are few and to the letter, so that
// what they do can be foreseen; nothing that they take off is lost, it is shown apart.

// divider is a line by which mail programs begin the message that they repeat.
var divider = pattern(`^(-{2,}\s*(Original Message|Forwarded message|Ursprüngliche Nachricht|Weitergeleitete Nachricht|Message d'origine|Message original|Mensaje original|الرسالة الأصلية|رسالة تم تحويلها)\s*-{2,}|Begin forwarded message:|_{20,})$`)

// repeatedField is a header field of a repeated message, as mail programs write it in text.
var repeatedField = pattern(`^\*?(From|Sent|Date|To|Cc|Subject|Von|Gesendet|Datum|An|Betreff|De|Envoyé|Date|À|Objet|Enviado|Para|Asunto|من|تم الإرسال|التاريخ|إلى|الموضوع)\s?:\*?\s?\S`)

// minRepeated is how many header fields in a row make a repeated header.
const minRepeated = 3

// cutQuoted cuts the earlier messages off the end of a text: from a divider on, or from three header fields in a
// row on, or else all lines of the end that begin with >, with the line before them that ends in a colon and
// says who wrote that, and up to two before it if the first of them begins as mail programs begin it. Lines with > that are answered below stay.
// Header fields at the very beginning are the e-mail's own: it was copied with them from a window.
func cutQuoted(text string) (own, quoted string) {
	lines := strings.Split(text, "\n")
	at := len(lines)
	for i := fieldsAt(lines, 0); i < len(lines); i++ {
		if divider().MatchString(strings.TrimSpace(lines[i])) && (!strings.HasPrefix(lines[i], "_") || fieldsAt(lines, i+1) > 0) || fieldsAt(lines, i) >= minRepeated {
			at = i
			break
		}
	}
	if at == len(lines) {
		for at > 0 && (lines[at-1] == "" || strings.HasPrefix(lines[at-1], ">")) {
			at--
		}
		for at < len(lines) && lines[at] == "" {
			at++
		}
		at = attribution(lines, at)
	}
	return strings.TrimSpace(strings.Join(lines[:at], "\n")), strings.TrimSpace(strings.Join(lines[at:], "\n"))
}

// fieldsAt counts the header fields in a row from a line on, blank lines before them aside.
func fieldsAt(lines []string, i int) (n int) {
	for n == 0 && i < len(lines) && lines[i] == "" {
		i++
	}
	for i+n < len(lines) && repeatedField().MatchString(lines[i+n]) {
		n++
	}
	return n
}

// attributes is how mail programs begin the lines that say who wrote what is quoted.
var attributes = pattern(`^(On|Am|Le|El|Il|Op|Em|Den|W dniu|В|في) `)

// attribution is where the lines begin that say who wrote what is quoted from a line on; that line, if none do.
func attribution(lines []string, at int) int {
	if at == len(lines) {
		return at
	}
	last := at - 1
	for last >= 0 && lines[last] == "" {
		last--
	}
	if last < 0 || !strings.HasSuffix(lines[last], ":") && !strings.HasSuffix(lines[last], "：") {
		return at
	}
	for i := last; i >= 0 && i > last-3 && lines[i] != ""; i-- {
		if attributes().MatchString(lines[i]) {
			return i
		}
	}
	return last
}

// maxSignature is how many lines after the mark are taken for a signature.
const maxSignature = 15

// cutSignature cuts the signature off a text: what comes after the last line that is "--", if it is short.
func cutSignature(text string) (own, signature string) {
	lines := strings.Split(text, "\n")
	for i := len(lines) - 1; i >= 0 && i >= len(lines)-1-maxSignature; i-- {
		if lines[i] == "--" {
			return strings.TrimSpace(strings.Join(lines[:i], "\n")), strings.TrimSpace(strings.Join(lines[i+1:], "\n"))
		}
	}
	return text, ""
}
