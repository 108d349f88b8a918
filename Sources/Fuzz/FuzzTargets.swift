// The list of what can be fuzzed: one line each.

enum FuzzTargets {
    static let all: [any FuzzTarget.Type] = [
        DescriptorFuzz.self,
        PayloadFuzz.self,
        USBIPFuzz.self,
    ]
}
