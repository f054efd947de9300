-- For wrk: asks for the paths listed in $BENCH_PATHS in turn, with "Accept: $BENCH_ACCEPT", and prints one line of JSON.
local paths = {}
local place = 0

function init()
  for line in io.lines(os.getenv("BENCH_PATHS")) do
    if #line > 0 then paths[#paths + 1] = line end
  end
  wrk.headers["Accept"] = os.getenv("BENCH_ACCEPT") or "*/*"
end

function request()
  place = place % #paths + 1
  return wrk.format("GET", paths[place])
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'JSON{"requests":%d,"bytes":%d,"per_s":%.3f,"MB_s":%.3f,"p50_ms":%.4f,"p99_ms":%.4f,"max_ms":%.4f,"failed":%d}\n',
    summary.requests, summary.bytes, summary.requests / summary.duration * 1e6, summary.bytes / summary.duration,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
