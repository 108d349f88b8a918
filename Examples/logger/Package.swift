// swift-tools-version: 6.2
import PackageDescription

// The framework's source: the checkout that USERDRIVER_CHECKOUT names, or this folder.
let framework = Context.environment["USERDRIVER_CHECKOUT"] ?? "../.."

let package = Package(
    name: "logger",
    dependencies: [.package(name: "UserDriver", path: framework)],
    targets: [
        // Swift's runtime is linked in: a sandboxed driver can't read the toolchain's folder. Tests
        // can't be linked so, and don't depend on it; `swift test` builds it all the same.
        .executableTarget(
            name: "logger-driver", dependencies: [.product(name: "UserDriver", package: "UserDriver")],
            linkerSettings: [.unsafeFlags(["-static-stdlib"])]),
        // The device in software, for tests.
        .target(name: "LoggerEmulation", dependencies: [.product(name: "USBEmulation", package: "UserDriver")]),
        .testTarget(
            name: "LoggerTests",
            dependencies: ["LoggerEmulation", .product(name: "DriverTesting", package: "UserDriver")]),
    ])
