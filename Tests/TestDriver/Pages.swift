// What a test driver is at beside its streams: two activities, of which one stands still when it is
// told to.

import UserDriver
import Wire

/// Two pages that are read side by side. Their counters are the framework's.
struct Pages {
    private let progress: Progress
    /// The first two slots are those of the streams.
    private let streams: [Progress.Activity]
    private var pages: [Progress.Activity] = []
    private var standing: Set<Int> = []

    init?() {
        do throws(CallError) {
            progress = try Progress(descriptor: DriverContract.progressDescriptor)
            streams = [progress.activity(), progress.activity()]
        } catch {
            return nil
        }
    }

    func tick() {
        for (index, page) in pages.enumerated() where !standing.contains(index) { page.advance(by: 3) }
    }

    /// `nil` where that is none of these.
    mutating func take(_ order: String, _ parameters: JSONValue) -> JSONValue? {
        let limit = Duration.milliseconds(parameters["limit"]?.intValue ?? 60_000)
        switch order {
        case "pages":
            pages = [progress.activity("page 1", unit: "lines"), progress.activity("page 2", unit: "lines")]
            for page in pages { page.expect(every: limit) }
        case "page-stands": standing = [0]
        case "page-waits":
            standing = [0]
            pages.first?.wait(parameters["reason"]?.stringValue ?? "", atMost: limit)
        case "page-goes-on":
            pages.first?.endWait()
            standing = []
        case "pages-end": pages = []
        default: return nil
        }
        return [:]
    }
}
