// Why something is not done, as it is answered.

/// A sentence, and the status that it is answered with.
struct WebError: Error, CustomStringConvertible {
    let description: String
    let status: UInt32
    init(_ description: String, status: UInt32 = 400) {
        self.description = description
        self.status = status
    }
}
