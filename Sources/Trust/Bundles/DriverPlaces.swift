// Where drivers lie, and who is trusted, when nobody says otherwise: one rule for the daemon and the command line.

import Glibc

package enum DriverPlaces {
    /// What the distribution, or `make install`, laid there.
    package static let system = "/usr/lib/userdriver"
    package static let systemDrivers = system + "/drivers"
    /// What this machine's administrator installs; it goes before the system's.
    package static let localDrivers = "/var/lib/userdriver/drivers"
    package static let settings = "/etc/userdriver"
    /// What the daemon keeps of `userdriver take` and `release`.
    package static let choices = "/var/lib/userdriver/taken.yaml"
    package static let allowedSignersName = "allowed_signers"
    package static let revokedKeysName = "revoked_keys"

    package static let administratorsSigners = settings + "/" + allowedSignersName
    package static let administratorsRevocations = settings + "/" + revokedKeysName

    /// Beside the executable (a build folder), the administrator's, the system's; those that are there.
    package static var drivers: [String] {
        ([executableFolder].compactMap { $0 }) + [localDrivers, systemDrivers].filter { access($0, F_OK) == 0 }
    }

    /// A build's own key beside its executables, what the system came with, what the administrator trusts.
    package static var trust: TrustFiles {
        let beside = executableFolder.map { [$0 + "/" + allowedSignersName] } ?? []
        return TrustFiles(
            allowedSigners: beside + [system + "/" + allowedSignersName, administratorsSigners], revokedKeys: [administratorsRevocations])
    }

    private static var executableFolder: String? {
        guard let path = realpath("/proc/self/exe", nil) else { return nil }
        defer { free(path) }
        return BundleFile.parent(String(cString: path))
    }
}
