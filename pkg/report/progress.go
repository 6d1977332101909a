package report

import "io"

// Progress shows how far a run is, in one line that the next one replaces: "validated 312 of 1,000 clusters". It shows
// nothing where the talk's side is no terminal; done equal to total takes the line away.
func (r *Reporter) Progress(verb string, done, total int, noun string) {
	if !r.progress || total < 2 {
		return
	}
	line := verb + " " + thousands(done) + " of " + thousands(total) + " " + noun
	if done >= total {
		line = ""
	}
	if line == r.passing || line != "" && done*100/total == (done-1)*100/total {
		return // a hundred lines a run are enough
	}
	r.passing = line
	io.WriteString(r.err, "\r\x1b[K"+line)
}
