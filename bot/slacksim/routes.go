package slacksim

import (
	"errors"
	"net"
	"net/http"
	"net/url"
)

func (w *Workspace) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", w.serveAPI)
	mux.HandleFunc("POST /commands/", w.serveResponse)
	mux.HandleFunc("POST /upload/v1/", w.serveUpload)
	mux.HandleFunc("GET /files-pri/", w.serveFile)
	mux.HandleFunc("GET /link/", w.serveSocket)
	w.pageRoutes(mux)
	return mux
}

// sameSite refuses requests that another web site made a browser send: those
// for a host that isn't this machine's loopback (DNS rebinding), and those
// whose Origin or Sec-Fetch-Site says that they come from elsewhere.
func sameSite(r *http.Request) error {
	if !loopback(r.Host) {
		return errors.New("the workspace's page is served on loopback addresses only")
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errors.New("the request comes from another site")
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
		return errors.New("the request comes from another origin")
	}
	return nil
}

func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(name)
	return name == "localhost" || (ip != nil && ip.IsLoopback())
}
