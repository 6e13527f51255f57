package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/server"
)

// faultRule is what sandbox/chaos/rules.ts says of it: one format for all services.
type faultRule struct {
	ID         string `json:"id"`
	Match      string `json:"match"`
	From       string `json:"from"`
	Times      *int   `json:"times"`
	LatencyMs  int    `json:"latencyMs"`
	Status     int    `json:"status"`
	RetryAfter *int   `json:"retryAfter"`
	Lost       bool   `json:"lost"`
	Refuse     bool   `json:"refuse"`
	Silent     bool   `json:"silent"`
}

// silentFor is how long a request that nobody answers is held.
const silentFor = time.Minute

// faults does to the requests of people and pods what the rules in the cluster's chaos.json say, and logs their writes. The
// cluster's own components, who come with certificates or from within, are left alone.
type faults struct {
	file  string
	admin string // Authorization header of the administrator

	mutex sync.Mutex
	used  map[string]int
}

func newFaults(c *cluster) *faults {
	return &faults{file: filepath.Join(c.dir, "chaos.json"), admin: "Bearer " + c.token, used: map[string]int{}}
}

func (f *faults) concerns(r *http.Request) bool {
	given := r.Header.Get("Authorization")
	return given == f.admin || strings.Count(given, ".") == 2 // the token of a service account
}

// next counts the first rule that matches as used.
func (f *faults) next(r *http.Request) (*faultRule, error) {
	text, err := os.ReadFile(f.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var book struct {
		Rules []faultRule `json:"rules"`
	}
	if err := json.Unmarshal(text, &book); err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for i := range book.Rules {
		rule := &book.Rules[i]
		if rule.Times != nil && f.used[rule.ID] >= *rule.Times || !strings.HasPrefix(host, rule.From) {
			continue
		}
		pattern, err := regexp.Compile("(?i)" + rule.Match)
		if err != nil {
			return nil, err
		}
		if pattern.MatchString(r.Method + " " + r.URL.RequestURI()) {
			f.used[rule.ID]++
			return rule, nil
		}
	}
	return nil, nil
}

// wrap puts the faults in front of everything that the API server does with a request.
func (f *faults) wrap(build func(http.Handler, *server.Config) http.Handler) func(http.Handler, *server.Config) http.Handler {
	return func(inner http.Handler, config *server.Config) http.Handler {
		chain := build(inner, config)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !f.concerns(r) {
				chain.ServeHTTP(w, r)
				return
			}
			f.serve(chain, w, r)
		})
	}
}

func (f *faults) serve(chain http.Handler, w http.ResponseWriter, r *http.Request) {
	rule, err := f.next(r)
	if err != nil {
		fmt.Fprintf(os.Stderr, "kubebox: %s can't be used: %v\n", f.file, err)
	}
	if rule == nil {
		rule = &faultRule{}
	}
	wait(r, time.Duration(rule.LatencyMs)*time.Millisecond)
	switch {
	case rule.Silent:
		wait(r, silentFor)
		panic(http.ErrAbortHandler) // cuts the connection, or this stream of it
	case rule.Refuse:
		panic(http.ErrAbortHandler)
	case rule.Status != 0:
		answerFault(w, rule)
		return
	}
	if r.Method != http.MethodGet {
		fmt.Printf("%s write %s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), r.Method, r.URL.Path)
	}
	if rule.Lost {
		chain.ServeHTTP(&unheard{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}
	chain.ServeHTTP(w, r)
}

func wait(r *http.Request, d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

func answerFault(w http.ResponseWriter, rule *faultRule) {
	reason := map[int]string{429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}[rule.Status]
	// As the API server says it: clients print the message alone.
	words := map[int]string{429: "Too many requests", 500: "Internal error occurred", 503: "Service Unavailable"}[rule.Status]
	w.Header().Set("Content-Type", "application/json")
	if rule.RetryAfter != nil {
		w.Header().Set("Retry-After", strconv.Itoa(*rule.RetryAfter))
	}
	w.WriteHeader(rule.Status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure",
		"message": words + ": a fault was asked for", "reason": reason, "code": rule.Status,
	})
}

// unheard takes an answer that nobody gets.
type unheard struct{ header http.Header }

func (u *unheard) Header() http.Header         { return u.header }
func (u *unheard) Write(b []byte) (int, error) { return len(b), nil }
func (u *unheard) WriteHeader(int)             {}
func (u *unheard) Flush()                      {}
