package prompts

import (
	"strings"
	"testing"

	"heffl-mcp/heffl"
	"heffl-mcp/workspace"

	"net/http"
)

// noWorkspace is one of a Heffl that cannot be reached.
func noWorkspace(tb testing.TB) *workspace.Workspace {
	tb.Helper()
	return workspace.New(&heffl.Client{BaseURL: "https://heffl.example", Key: testKey, HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { return nil, http.ErrServerClosed })}}, workspace.Options{})
}

const head = "From: Ada <ada@acme.example>\nSubject: Seats\n"

// TestReadLetter holds how e-mails of all kinds are taken apart.
func TestReadLetter(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		email, header, text, signature, quoted, dropped string
	}{
		"plain text": {email: "Hi,\r\nfive seats please.\r\n", text: "Hi,\nfive seats please."},
		"quoted-printable, Latin 1": {
			email: head + "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nF=FCnf Pl=E4tze =\nbitte =96 danke", header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "Fünf Plätze bitte – danke"},
		"base64, Windows 1256": {
			email: head + "Content-Type: text/plain; charset=windows-1256\nContent-Transfer-Encoding: base64\n\n48zkx9M=", text: "مجن" + "اس", header: "From: Ada <ada@acme.example>\nSubject: Seats"},
		"a name in another set": {
			email: "From: =?iso-8859-2?q?Luk=E1=B9_Nov=E1k?= <l@acme.example>\nTo: a@b.example\nSubject: =?utf-8?q?5_m=C3=ADst?=\n\nx", header: "From: Lukáš Novák <l@acme.example>\nTo: <a@b.example>\nSubject: 5 míst", text: "x"},
		"a set that is not read": {
			email: head + "Content-Type: text/plain; charset=gb2312\n\nfive seats", text: "five seats", header: "From: Ada <ada@acme.example>\nSubject: Seats", dropped: "nothing, but letters may be wrong: a part is in a character set that is not read here"},
		"HTML alone": {
			email:  head + "Content-Type: text/html\n\n<html><head><title>no</title><style>p{}</style></head><body><p>Hi,</p><p>five&nbsp;seats, <b>500</b> each<br>please</p><ul><li>now</li><li>soon</li></ul><table><tr><td>Seats</td><td>5</td></tr></table><img src=x></body></html>",
			header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "Hi,\n\nfive seats, 500 each\nplease\n\n- now\n- soon\n\nSeats | 5", dropped: "the HTML (this is its text); 1 image"},
		"HTML with a quotation": {
			email:  head + "Content-Type: text/html\n\n<div>Yes, <i>all</i> of it.</div><div class=gmail_quote><div>On Monday Bo wrote:</div><blockquote><p>Seats?</p>Five?<blockquote>old</blockquote></blockquote></div>",
			header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "Yes, all of it.", quoted: "On Monday Bo wrote:\n>\n> Seats?\n>\n> Five?\n>> old", dropped: "the HTML (this is its text)"},
		"pasted HTML": {email: "<html><body>five seats</body></html>", text: "five seats"},
		"multipart, with attachments": {
			email:  head + "Content-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/plain\n\nfive seats\n--a\nContent-Type: text/html\n\n<p>five seats</p>\n--a--\n--m\nContent-Type: application/pdf; name=\"=?utf-8?q?Bestellung_=C3=9C.pdf?=\"\n\nx\n--m\nContent-Type: message/rfc822\n\nSubject: x\n\ny\n--m--\n",
			header: "From: Ada <ada@acme.example>\nSubject: Seats\nAttached: Bestellung Ü.pdf\nAttached: a part of type message/rfc822", text: "five seats", dropped: "the HTML form of the text; 2 attachments"},
		"from a mailbox file":      {email: "From ada@acme.example Thu Nov 12 15:48:09 2026\n" + head + "\nfive seats", header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five seats"},
		"pasted from a window":     {email: "From: Ada\nSent: Monday\nTo: Bo\nSubject: Seats\n\nfive seats", header: "From: Ada\nTo: Bo\nSubject: Seats\nSent: Monday", text: "five seats"},
		"filled into a form":       {email: "From: Ada\nSubject: Enquiry\nSeats: 5\nWish: by May\nWish: in blue\n\nfrom our website", header: "From: Ada\nSubject: Enquiry\nSeats: 5\nWish: by May\nWish: in blue", text: "from our website"},
		"one that begins so alone": {email: "Subject: seats\n\nfive", text: "Subject: seats\n\nfive"},
		"signature":                {email: "five seats\n\n-- \nAda\nAcme\n", text: "five seats", signature: "Ada\nAcme"},
		"two dashes far above":     {email: "--\n" + strings.Repeat("x\n", 30), text: "--\n" + strings.TrimSpace(strings.Repeat("x\n", 30))},
		"reply above":              {email: "Yes.\n\nOn Mon, Bo\n<bo@acme.example> wrote:\n> Seats?\n>\n>> Hi\n\n", text: "Yes.", quoted: "On Mon, Bo\n<bo@acme.example> wrote:\n> Seats?\n>\n>> Hi"},
		"reply below stays":        {email: "> Seats?\n\nFive.\n\n> When?\n\nNow.", text: "> Seats?\n\nFive.\n\n> When?\n\nNow."},
		"Outlook":                  {email: "Yes.\n\nFrom: Bo <bo@acme.example>\nSent: Monday\nTo: Ada\nSubject: Seats\n\nSeats?", text: "Yes.", quoted: "From: Bo <bo@acme.example>\nSent: Monday\nTo: Ada\nSubject: Seats\n\nSeats?"},
		"Outlook, in German":       {email: "Ja.\n\n________________________________\nVon: Bo\nGesendet: Montag\nAn: Ada\nBetreff: Plätze\n\nPlätze?", text: "Ja.", quoted: "________________________________\nVon: Bo\nGesendet: Montag\nAn: Ada\nBetreff: Plätze\n\nPlätze?"},
		"forwarded":                {email: "See below.\n\n---------- Forwarded message ---------\nFrom: Bo <bo@acme.example>\nDate: Monday\n\nfive seats", text: "See below.", quoted: "---------- Forwarded message ---------\nFrom: Bo <bo@acme.example>\nDate: Monday\n\nfive seats"},
		"a rule is no divider":     {email: "one\n____________________________\ntwo", text: "one\n____________________________\ntwo"},
		"signature above a reply":  {email: "Yes.\n--\nAda\n\nBo wrote:\n> x", text: "Yes.", signature: "Ada", quoted: "Bo wrote:\n> x"},
		"broken parts":             {email: head + "Content-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: text/plain\n\nfive seats\n--m\nbroken", header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five seats", dropped: "what comes after a fault in the e-mail's own form"},
		"an encoding that is none": {email: head + "Content-Transfer-Encoding: x-uuencode\n\nbegin", header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "begin", dropped: "a part whose encoding is not known"},
		"HTML, and a list's plain footer": {
			email:  head + "Content-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: text/html\n\n<p>five seats</p><img src=x>\n--m\nContent-Type: text/plain\n\n__\nlist@acme.example\n--m--\n",
			header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five seats\n\n__\nlist@acme.example", dropped: "the HTML (this is its text); 1 image"},
		"an alternative without text": {
			email:  head + "Content-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/plain\n\n \n--a\nContent-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n<p>five seats</p>\n--r--\n--a--\n",
			header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five seats", dropped: "the HTML (this is its text)"},
		"two plain alternatives": {
			email:  head + "Content-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/plain\n\nfive\n--a\nContent-Type: text/plain\n\nseats\n--a\nContent-Type: text/html\n\n<p>x</p>\n--a--\n",
			header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five\n\nseats", dropped: "the HTML form of the text"},
		"HTML whose head does not end": {
			email:  head + "Content-Type: text/html\n\n<html><head><title>no</title><style>p{}</style>five <b>seats</b><p>please",
			header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five seats\n\nplease", dropped: "the HTML (this is its text)"},
		"HTML without end tags": {
			email:  head + "Content-Type: text/html\n\n<body><p style='display:/**/none'>preview<p>five seats<ul><li hidden>a<li>b</ul><table><tr hidden><td>c<tr><td>d<td hidden>e<td>f</table>",
			header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five seats\n\n- b\n\nd | f", dropped: "the HTML (this is its text); text that the HTML hides from its reader"},
		"HTML with what is outside the page, or too small": {
			email: head + "Content-Type: text/html\n\n<div style='position:absolute;left:-9999px'>a</div><p style='text-indent:-999em'>b</p><i style='font-size:1px'>c</i><i style='font-size:.1pt'>d</i><i style='opacity:.01'>e</i><i style='color: transparent'>f</i>" +
				"<p style='background-color:transparent;margin-left:-18.0pt;text-indent:-18.0pt;font-size:11pt;opacity:0.5'>five</p><p style='font-size:1.1px0;opacity:1'>seats</p>",
			header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five\n\nseats", dropped: "the HTML (this is its text); text that the HTML hides from its reader"},
		"what was decoded when it was pasted": {
			email: head + "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\nFünf Plätze – 500 €", header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "Fünf Plätze – 500 €"},
		"copied from a window, in German": {email: "Von: Ada <ada@acme.example>\nGesendet: Montag\nAn: Bo\nBetreff: Plätze\n\nFünf Plätze.\n\nVon: Bo\nGesendet: Sonntag\nAn: Ada\n\nAngebot", text: "Von: Ada <ada@acme.example>\nGesendet: Montag\nAn: Bo\nBetreff: Plätze\n\nFünf Plätze.", quoted: "Von: Bo\nGesendet: Sonntag\nAn: Ada\n\nAngebot"},
		"a type that cannot be read":      {email: head + "Content-Type: text/plain; charset\n\nfive seats", header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five seats"},
		"a type that is none":             {email: head + "Content-Type: text\n\nfive seats", header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five seats"},
		"a body with a name":              {email: head + "Content-Type: text/plain; name=body.txt\n\nfive seats", header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "five seats"},
		"parts of another boundary":       {email: head + "Content-Type: multipart/mixed; boundary=x\n\n--y\n\nfive seats\n--y--\n", header: "From: Ada <ada@acme.example>\nSubject: Seats", text: "--y\n\nfive seats\n--y--", dropped: "what comes after a fault in the e-mail's own form"},
		"nothing":                         {email: head + "\n", header: "From: Ada <ada@acme.example>\nSubject: Seats"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := readLetter(test.email)
			for what, pair := range map[string][2]string{
				"header": {strings.TrimSpace(got.header), test.header}, "text": {got.text, test.text}, "signature": {got.signature, test.signature},
				"quoted": {got.quoted, test.quoted}, "dropped": {strings.Join(got.dropped, "; "), test.dropped},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s = %q, want %q", what, pair[0], pair[1])
				}
			}
		})
	}
}
