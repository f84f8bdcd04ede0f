# The shape of every reply's data (docs/protocol.md): true, or an error that
# names what is wrong.  Run with --arg verb VERB.  Fields may be added.

def fail($what): error($verb + ": " + $what);
def is($field; test):
    if has($field) | not then fail("no " + $field)
    elif .[$field] | test | not then
        fail($field + " is " + (.[$field] | tojson))
    else . end;

def int: type == "number" and . == floor;
def count: int and . >= 0;
def text: type == "string";
def address: text and test("^0x[0-9a-f]+$");
def truth: type == "boolean";
def one_of($words): . as $word | $words | index($word) != null;
def or_null(test): . == null or test;
def counts($fields): reduce $fields[] as $f (.; is($f; count));
def texts($fields): reduce $fields[] as $f (.; is($f; text));
def addresses($fields): reduce $fields[] as $f (.; is($f; address));
def truths($fields): reduce $fields[] as $f (.; is($f; truth));
def rows(test): if type != "array" then fail("data is no array")
    else all(.[]; test | true) end;

def states: ["running", "blocked", "paused", "shutdown", "dying", "gone"];
def reasons: ["none", "poweroff", "reboot", "suspend", "crash", "watchdog",
    "destroyed"];
def crash: or_null(is("vector"; or_null(count)) | counts(["error"])
    | addresses(["rip", "cr2"]) | texts(["symbol", "text"]) | true);

def one_end: texts(["domain", "vcpu_state", "symbol"])
    | addresses(["rip"])
    | counts(["id", "port", "vcpu", "vcpu_since", "sent", "delivered",
        "coalesced", "dropped", "throttled", "last_sent", "last_delivered",
        "pending_since"])
    | truths(["pending", "masked", "selector", "upcall_pending",
        "upcall_masked", "polled"]) | true;

def data:
    if $verb == "list" then rows(texts(["name", "why", "last_line"])
        | counts(["id", "vcpus", "pages", "max_pages", "cpu_time",
            "hypercalls", "refused", "generation", "created", "ended",
            "priority"])
        | is("state"; one_of(states)) | is("reason"; one_of(reasons))
        | is("last_lines"; type == "array" and all(.[]; type == "string"))
        | is("crash"; crash))
    elif $verb == "vcpus" then rows(texts(["domain", "cpus", "state", "symbol"])
        | counts(["vcpu", "cpu", "since", "priority", "lent_priority",
            "budget", "budget_left", "period", "cpu_time"]) | addresses(["rip"])
        | truths(["upcall_pending", "upcall_masked"]))
    elif $verb == "channels" then rows(texts(["channel"])
        | is("state"; one_of(["interdomain", "unbound", "virq", "ipi"]))
        | counts(["idle"])
        | is("ends"; length >= 1 and length <= 2 and all(.[]; one_end)))
    elif $verb == "rings" then rows(
        texts(["channel", "protocol", "name", "front", "back", "reason"])
        | reduce ("version", "features", "slots", "req_prod", "req_cons", "req_event", "rsp_prod",
            "rsp_cons", "rsp_event", "in_flight", "oldest", "notified",
            "suppressed", "full") as $f (.; is($f; or_null(int)))
        | is("fault"; or_null(truth)))
    elif $verb == "grants" then rows(texts(["owner", "peer", "channel"])
        | counts(["ref", "frame", "maps", "since"]) | truths(["readonly"]))
    elif $verb == "refused" then rows(
        texts(["domain", "call", "error", "reason", "symbol"])
        | counts(["sequence", "time"]) | addresses(["argument", "rip"]))
    elif $verb == "modules" then rows(texts(["name", "line"])
        | counts(["image_size", "ramdisk_size"]))
    elif $verb == "log" then rows(texts(["source", "text"])
        | counts(["sequence", "time"]))
    elif $verb == "machine" then counts(["cpus", "domains", "total_pages",
        "free_pages", "cpu_khz", "idle_time", "context_switches",
        "interrupts", "hypercalls"]) | true
    elif $verb == "audit" then counts(["frames", "page_tables", "grants",
        "ports", "differences"]) | texts(["first"]) | true
    elif $verb == "why" then texts(["verdict", "sentence", "next"])
        | counts(["number"]) | truths(["bad"])
        | is("evidence"; all(.[]; text)) | true
    elif $verb == "runs" then rows(texts(["name", "image"])
        | counts(["broker", "qemu", "running"]))
    else fail("no schema") end;

if .schema != "belfry." + $verb then fail("schema is " + (.schema | tojson))
elif .version != 1 then fail("version is " + (.version | tojson))
else .data | data end
