// The devices on other machines that people attached while the daemon ran: looked for again by the next one, until they are detached.

import Glibc
import Logging
import Wire

/// A file in the state folder: addresses, in the order in which they were attached. It is bounded, whole or not there, and its loss costs attachments
/// only.
@SupervisorActor
final class KeptAttachments {
    private struct File: Codable {
        var attachments: [String]
    }

    private static let maximumBytes = 64 << 10
    private let path: String
    private let maximumCount: Int
    private(set) var urls: [AttachmentURL] = []

    init(stateDirectory: String, maximumCount: Int) {
        path = stateDirectory + "/attachments.json"
        self.maximumCount = maximumCount
    }

    /// Reads what an earlier daemon kept. A file that makes no sense is told, and is written anew with the next change.
    func read(_ logger: Logger) {
        guard access(path, F_OK) == 0 || errno != ENOENT else { return }
        do {
            let bytes = try StateFile.read(path, maximumBytes: Self.maximumBytes)
            for text in try JSON.decode(File.self, from: bytes).attachments.prefix(maximumCount) {
                do throws(AttachmentURL.ParseError) {
                    let url = try AttachmentURL(text)
                    if !urls.contains(url) { urls.append(url) }
                } catch {
                    logger.error("a saved attachment is not an address", metadata: ["file": "\(path)", "error": "\(error)"])
                }
            }
        } catch {
            logger.error("the saved attachments are lost: attach the devices again", metadata: ["file": "\(path)", "error": "\(error)"])
        }
    }

    func add(_ url: AttachmentURL) throws(SystemFailure) {
        guard !urls.contains(url), urls.count < maximumCount else { return }
        urls.append(url)
        try write()
    }

    func remove(_ url: AttachmentURL) throws(SystemFailure) {
        guard let index = urls.firstIndex(of: url) else { return }
        urls.remove(at: index)
        try write()
    }

    private func write() throws(SystemFailure) {
        let bytes: [UInt8]
        do { bytes = try JSON.encode(File(attachments: urls.map(\.description)), pretty: true) } catch {
            throw SystemFailure(operation: "writing \(path)", errno: EINVAL)
        }
        try StateFile.write(bytes, to: path)
    }
}
