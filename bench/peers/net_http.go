// Go's net/http: sequential N | each N CONCURRENCY | page. The same surroundings and output as bench/client.lua.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

var client *http.Client

func newClient() *http.Client {
	pem, err := os.ReadFile(os.Getenv("BENCH_CA_FILE"))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		log.Fatal("no CA: ", err)
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		MaxIdleConnsPerHost: 1024,
		ForceAttemptHTTP2:   true,
	}
	return &http.Client{Transport: transport}
}

// A body as the script of a user would have it: tables without a type.
func get(path string) int64 {
	request, err := http.NewRequest("GET", os.Getenv("BENCH_BASE")+"/api/alerts"+path, nil)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("BENCH_TOKEN"))
	request.Header.Set("Accept", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || answer.StatusCode != 200 {
		log.Fatal(answer.Status, err)
	}
	return int64(len(body["value"].([]any)))
}

func ips(n int64) int64 {
	return get("/da637472900382838869_" + strconv.FormatInt(n, 10) + "/ips")
}

func each(count int64, concurrency int) int64 {
	var group sync.WaitGroup
	var next, items int64
	for i := 0; i < concurrency; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := atomic.AddInt64(&next, 1); n <= count; n = atomic.AddInt64(&next, 1) {
				atomic.AddInt64(&items, ips(n))
			}
		}()
	}
	group.Wait()
	return items
}

func number(i int) int64 {
	n, err := strconv.ParseInt(os.Args[i], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	return n
}

func main() {
	client = newClient()
	switch os.Args[1] {
	case "sequential":
		fmt.Println(each(number(2), 1))
	case "each":
		fmt.Println(each(number(2), int(number(3))))
	case "page":
		fmt.Println(get(""))
	}
}
