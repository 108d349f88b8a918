// A transfer's outcome as the number that Linux, USB/IP and captures have for it.

extension TransferStatus {
    /// 0, or a negated Linux errno: the reverse of `init(linux:)`.
    @inlinable
    public var linuxStatus: Int32 {
        switch self {
        case .completed: 0
        case .cancelled: -104  // -ECONNRESET
        case .stall: -32  // -EPIPE
        case .timedOut: -110  // -ETIMEDOUT
        case .overflow: -75  // -EOVERFLOW
        case .disconnected: -108  // -ESHUTDOWN
        case .fault(let number): number > 0 ? -number : -71  // -EPROTO
        }
    }
}
