// The descriptors that travel with one message.

import Glibc

/// Several descriptors with one owner: all are closed when it goes. Their order tells what each is for.
public struct OwnedDescriptors: ~Copyable, Sendable {
    /// Lent, in their order.
    public private(set) var numbers: [Int32]

    /// Owns them from here on.
    public init(_ numbers: [Int32] = []) { self.numbers = numbers }

    deinit { for number in numbers { close(number) } }

    public var count: Int { numbers.count }
    public var first: Int32? { numbers.first }
    public subscript(_ place: Int) -> Int32 { numbers[place] }

    public mutating func append(_ descriptor: consuming OwnedDescriptor) { numbers.append(descriptor.handOver()) }

    /// Moves the first to another owner; `nil` if there is none. The others move up.
    public mutating func takeFirst() -> OwnedDescriptor? { numbers.isEmpty ? nil : OwnedDescriptor(numbers.removeFirst()) }

    /// Moves the last to another owner; `nil` if there is none.
    public mutating func takeLast() -> OwnedDescriptor? { numbers.popLast().map { OwnedDescriptor($0) } }

    /// Gives them away open: whoever takes the numbers closes them.
    public consuming func handOver() -> [Int32] {
        let numbers = numbers
        self.numbers = []
        return numbers
    }
}
