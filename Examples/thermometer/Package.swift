// swift-tools-version: 6.2
import PackageDescription

// The framework's source: the checkout that USERDRIVER_CHECKOUT names, or this folder.
let framework = Context.environment["USERDRIVER_CHECKOUT"] ?? "../.."

let package = Package(
    name: "thermometer",
    dependencies: [.package(name: "UserDriver", path: framework)],
    targets: [
        // Swift's runtime is linked in: a sandboxed driver can't read the toolchain's folder. Tests
        // can't be linked so, and don't depend on it; `swift test` builds it all the same.
        .executableTarget(
            name: "thermometer-driver", dependencies: [.product(name: "UserDriver", package: "UserDriver")],
            linkerSettings: [.unsafeFlags(["-static-stdlib"])]),
        // The device in software: for tests, and for `make run`.
        .target(name: "ThermometerEmulation", dependencies: [.product(name: "USBEmulation", package: "UserDriver")]),
        .executableTarget(
            name: "emulate-thermometer",
            dependencies: ["ThermometerEmulation", .product(name: "USBEmulation", package: "UserDriver")]),
        .testTarget(
            name: "ThermometerTests",
            dependencies: ["ThermometerEmulation", .product(name: "DriverTesting", package: "UserDriver")]),
    ])
