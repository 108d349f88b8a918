// What a probe found: a line for each check, and an exit status from them all.
import Glibc
import Synchronization
import USB

/// Prints a line at once, also into a pipe.
func say(_ text: String) {
    print(text)
    fflush(nil)
}

final class Report: Sendable {
    private let failures = Mutex(0)

    var status: Int32 { failures.withLock { $0 } == 0 ? 0 : 1 }

    func check(_ condition: Bool, _ what: String, _ detail: @autoclosure () -> String = "") {
        let text = detail()
        say((condition ? "ok    " : "FAIL  ") + what + (text.isEmpty ? "" : ": \(text)"))
        if !condition { failures.withLock { $0 += 1 } }
    }

    func note(_ text: String) { say("      " + text) }

    /// Runs a step; an error is a failed check.
    func step<Value>(_ what: String, _ body: () async throws -> Value) async -> Value? {
        do {
            return try await body()
        } catch {
            check(false, what, "\(error)")
            return nil
        }
    }

    /// Runs a step that has to fail with a code.
    func refusal(_ code: USBError.Code, _ what: String, _ body: () async throws -> Void) async {
        do {
            try await body()
            check(false, what, "no error")
        } catch {
            check((error as? USBError)?.code == code, what, "\(error)")
        }
    }
}
