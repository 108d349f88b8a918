// What the release executables carry along, and what they are linked with.

import Foundation
import Testing

@Suite(.enabled(if: Programs.areBuilt, "the release executables are not built: run make build"))
struct InstalledSizeTests {
    private static let driver = "webcam.driver/webcam-driver"
    private static let scanner = "scanner.driver/scanner-driver"

    /// An ELF file of 64 bits, of our own making.
    private struct Executable {
        let bytes: Data

        init(_ name: String) throws {
            bytes = try Data(contentsOf: URL(fileURLWithPath: "\(Programs.folder)/\(name)"), options: .mappedIfSafe)
        }

        func contains(_ text: String) -> Bool { bytes.range(of: Data(text.utf8)) != nil }

        private func number<T: FixedWidthInteger>(_ offset: Int, as type: T.Type) -> Int {
            bytes.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: offset, as: type)) }
        }

        /// Its bytes without sections that are never loaded: what `strip` leaves.
        var loadedBytes: Int {
            let (table, count) = (number(0x20, as: UInt64.self), number(0x38, as: UInt16.self))
            return (0..<count).map { table + $0 * 56 }.filter { number($0, as: UInt32.self) == 1 }
                .map { number($0 + 8, as: UInt64.self) + number($0 + 32, as: UInt64.self) }.max() ?? 0
        }
    }

    @Test(arguments: ["userdriver", "userdriverd", driver, "usbip-proxy"]) func carriesNoDataOfICUs(name: String) throws {
        // The name that each of its tables begins with. All of Foundation brings it along, whoever imports that: a library, too.
        #expect(try !Executable(name).contains("icudt"))
    }

    @Test(arguments: [driver, scanner, "usbip-proxy"]) func aProcessInASandboxNeedsFewLibraries(name: String) throws {
        let executable = try Executable(name)
        #expect(executable.contains("libc.so"))
        for library in ["libcrypto", "libssl", "libyaml", "libseccomp"] { #expect(!executable.contains(library + ".so"), "\(library)") }
    }

    @Test func aDriverKeepsItsFunctionsNamesAndNothingElse() throws {
        let driver = try Executable(Self.driver)
        #expect(driver.contains(".symtab"))
        #expect(!driver.contains(".debug_info"))
    }

    /// So that the disk has it once: `make install` makes them one file.
    @Test(arguments: [scanner, "usbip-proxy"]) func whatRunsInASandboxIsOneExecutable(name: String) throws {
        #expect(try Executable(Self.driver).bytes == Executable(name).bytes)
    }

    @Test func installedProgramsTakeLessThanSixtyMegabytes() throws {
        let bytes =
            try ["userdriver", "userdriverd"].map { try Executable($0).loadedBytes } + [Executable(Self.driver).bytes.count]
        #expect(bytes.allSatisfy { $0 > 1_000_000 })
        #expect(bytes.reduce(0, +) < 60_000_000, "\(bytes)")
    }
}
