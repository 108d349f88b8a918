// Who is served: whoever could talk to the daemon themselves.

import Glibc
import Synchronization

/// A file's owner, group and mode.
struct FileRights: Hashable, Sendable {
    var user: UInt32
    var group: UInt32
    var mode: UInt32

    init(user: UInt32, group: UInt32, mode: UInt32) { (self.user, self.group, self.mode) = (user, group, mode) }

    /// Of what lies at the path; `nil` if nothing does.
    init?(_ path: String) {
        var file = stat()
        guard stat(path, &file) == 0 else { return nil }
        self.init(user: file.st_uid, group: file.st_gid, mode: file.st_mode)
    }

    /// Whether the bit (4, 2 or 1) is granted to a user of these groups, as the kernel decides.
    func grants(_ bit: UInt32, to user: UInt32, groups: [UInt32]) -> Bool {
        if user == self.user { return mode >> 6 & bit != 0 }
        return groups.contains(group) ? mode >> 3 & bit != 0 : mode & bit != 0
    }
}

/// Root, this process's own user, and those whom the modes of the daemon's folder and socket let in:
/// the members of its group.
final class Callers: Sendable {
    private struct Known {
        var isServed: Bool
        /// It belongs to the print system.
        var prints: Bool
        var until: ContinuousClock.Instant
    }
    private let folder: String
    private let socket: String
    private let known = Mutex<[UInt32: Known]>([:])
    /// A membership that has ended counts for so long still.
    private static let memory = Duration.seconds(10)
    private static let most = 256
    /// CUPS asks printers as root and as `lp`, `cups-browsed` as a member of one of these.
    private static let printGroups = ["lp", "lpadmin"]

    init(folder: String, socket: String) {
        self.folder = folder
        self.socket = socket
    }

    /// May take as long as the system's list of users does.
    func serves(_ user: UInt32) -> Bool { user == 0 || user == geteuid() || look(user).isServed }

    /// Who scans, and the print system. May take as long, too.
    func prints(_ user: UInt32) -> Bool {
        if serves(user) { return true }
        return look(user).prints
    }

    private func look(_ user: UInt32) -> Known {
        let now = ContinuousClock.now
        if let entry = known.withLock({ $0[user] }), entry.until > now { return entry }
        let groups = Self.groups(of: user)
        let printers = Self.printGroups.compactMap(Self.number(ofGroup:))
        let entry = Known(
            isServed: isLetIn(user, groups), prints: printers.contains(where: groups.contains), until: now + Self.memory)
        known.withLock { known in
            if known.count >= Self.most { known = [:] }
            known[user] = entry
        }
        return entry
    }

    private func isLetIn(_ user: UInt32, _ groups: [UInt32]) -> Bool {
        guard let folder = FileRights(folder), let socket = FileRights(socket) else { return false }
        return folder.grants(1, to: user, groups: groups) && socket.grants(2, to: user, groups: groups)
    }

    private static func number(ofGroup name: String) -> UInt32? {
        var entry = group()
        var found: UnsafeMutablePointer<group>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getgrnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return entry.gr_gid
    }

    /// By the system's list of users; a process may have others, which are not asked for.
    private static func groups(of user: UInt32) -> [UInt32] {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getpwuid_r(user, &entry, &buffer, buffer.count, &found) == 0, found != nil, let name = entry.pw_name else { return [] }
        var count: Int32 = 256
        var groups = [gid_t](repeating: 0, count: Int(count))
        guard getgrouplist(name, entry.pw_gid, &groups, &count) >= 0 else { return [entry.pw_gid] }
        return Array(groups.prefix(Int(count)))
    }
}
