/**
 * Faults that a tool can make from the syntax tree. Code that no test is meant to notice is left alone: types, imports,
 * log lines, the texts of messages, and assertions, which only a programmer's error can break.
 */
import {
  isAwaitExpression, isBinaryExpression, isBreakStatement, isCallExpression, isCaseClause, isConditionalExpression,
  isContinueStatement, isDoStatement, isExportDeclaration, isExpressionStatement, isForStatement, isIfStatement,
  isImportDeclaration, isInterfaceDeclaration, isModuleDeclaration, isNewExpression, isNumericLiteral,
  isPostfixUnaryExpression, isPrefixUnaryExpression, isPropertyAccessExpression, isPropertyAssignment,
  isReturnStatement, isStringLiteral, isThrowStatement, isTypeAliasDeclaration, isTypeNode, isWhileStatement,
  SyntaxKind, type Node, type SourceFile,
} from 'typescript/unstable/ast'

import { faultAt, type Fault } from './fault.ts'

/** The replacement of each operator: boundaries move by one, addition becomes subtraction, and so on. */
const BINARY: Record<string, string> = {
  '<': '<=', '<=': '<', '>': '>=', '>=': '>', '===': '!==', '!==': '===', '==': '!=', '!=': '==',
  '&&': '||', '||': '&&', '+': '-', '-': '+', '*': '/', '/': '*', '%': '*', '**': '*',
  '<<': '>>', '>>': '<<', '>>>': '<<', '&': '|', '|': '&', '^': '&',
  '+=': '-=', '-=': '+=', '*=': '/=', '|=': '&=', '&=': '|=', '^=': '&=', '<<=': '>>=', '>>>=': '<<=', '??=': '=',
}
const UNARY: Record<string, string> = { '++': '--', '--': '++' }

/** Functions with opposite meaning. */
const OPPOSITES: Record<string, string> = {
  'Math.min': 'Math.max', 'Math.max': 'Math.min', 'Math.floor': 'Math.ceil', 'Math.ceil': 'Math.floor',
  some: 'every', every: 'some', push: 'unshift',
}

/** Calls whose first argument is the name of an event or a stable code, so that its text matters. */
const TAKES_NAME = /\b(on|once|off|emit|addEventListener|removeEventListener|PagemeshError)$/
/** Properties whose strings other code compares. */
const NAMING_KEY = /^(kind|type|code|status|state|event|method|phase|mode)$/

const LOGS = /(^|[.#])log\??\.(debug|info|warn|error)$/
const ASSERTS = /^assert(\.\w+)?$/

/** A replacement of a node or of a part of it. */
interface Change {
  kind: string
  start: number
  end: number
  replacement: string
}

/** All faults of one file, in the order of the text. */
export function faultsIn(source: SourceFile, file: string): Fault[] {
  const faults: Fault[] = []
  const visit = (node: Node): void => {
    if (isLeftAlone(node)) return
    for (const change of changesOf(node)) faults.push(faultAt({ file, text: source.text }, change))
    node.forEachChild(visit)
  }
  source.forEachChild(visit)
  return faults.sort((a, b) => a.start - b.start || a.end - b.end)
}

function isLeftAlone(node: Node): boolean {
  if (isTypeNode(node) || isInterfaceDeclaration(node) || isTypeAliasDeclaration(node)) return true
  if (isImportDeclaration(node) || isExportDeclaration(node) || isModuleDeclaration(node)) return true
  if (!isCallExpression(node)) return false
  const callee = node.expression.getText()
  return ASSERTS.test(callee) || LOGS.test(callee)
}

function changesOf(node: Node): Change[] {
  return [
    ...conditionChanges(node), ...operatorChanges(node), ...callChanges(node), ...literalChanges(node),
    ...statementChanges(node),
  ]
}

function replace(kind: string, node: Node, replacement: string): Change {
  return { kind, start: node.getStart(), end: node.end, replacement }
}

/**
 * A branch that is always taken, and one that never is; loops only get the variant that ends at once, as the other
 * would never end.
 */
function conditionChanges(node: Node): Change[] {
  if (isIfStatement(node)) return forced(node.expression, ['true', 'false'])
  if (isConditionalExpression(node)) return forced(node.condition, ['true', 'false'])
  if (isWhileStatement(node)) return forced(node.expression, ['false'])
  if (isDoStatement(node)) return forced(node.expression, ['false'])
  if (isForStatement(node) && node.condition !== undefined) return forced(node.condition, ['false'])
  return []
}

function forced(condition: Node, values: readonly string[]): Change[] {
  const text = condition.getText()
  return values.filter((value) => value !== text).map((value) => replace('condition', condition, value))
}

function operatorChanges(node: Node): Change[] {
  if (isBinaryExpression(node)) {
    const operator = node.operatorToken
    if (operator.getText() === '??') return [replace('default', node, node.right.getText())]
    const other = BINARY[operator.getText()]
    // + also joins strings: subtracting them shows nothing.
    const isText = [node.left, node.right].some((side) => /^['`]/.test(side.getText()))
    return other === undefined || isText ? [] : [replace('operator', operator, other)]
  }
  if (isPrefixUnaryExpression(node)) {
    if (node.operator === SyntaxKind.ExclamationToken) return [replace('negation', node, node.operand.getText())]
    const sign = node.getText().slice(0, 2)
    const other = UNARY[sign]
    return other === undefined ? [] : [replace('operator', node, other + node.operand.getText())]
  }
  if (isPostfixUnaryExpression(node)) {
    const other = UNARY[node.getText().slice(-2)]
    return other === undefined ? [] : [replace('operator', node, node.operand.getText() + other)]
  }
  return []
}

function callChanges(node: Node): Change[] {
  if (!isCallExpression(node) || !isPropertyAccessExpression(node.expression)) return []
  const callee = node.expression
  const whole = OPPOSITES[callee.getText()]
  if (whole !== undefined) return [replace('call', callee, whole)]
  const method = OPPOSITES[callee.name.getText()]
  return method === undefined ? [] : [replace('call', callee.name, method)]
}

function literalChanges(node: Node): Change[] {
  if (node.kind === SyntaxKind.TrueKeyword) return [replace('constant', node, 'false')]
  if (node.kind === SyntaxKind.FalseKeyword) return [replace('constant', node, 'true')]
  if (isNumericLiteral(node)) {
    if (isPropertyAssignment(node.parent) && node.parent.name === node) return []
    const text = node.getText()
    const other = /^\d+$/.test(text) ? String(Number(text) + 1) : text.includes('.') ? `(${text} * 2)` : `(${text} + 1)`
    return [replace('constant', node, other)]
  }
  if (node.kind === SyntaxKind.BigIntLiteral) return [replace('constant', node, `(${node.getText()} + 1n)`)]
  return isStringLiteral(node) && isName(node) ? [replace('name', node, "'changed'")] : []
}

/** Whether other code compares this string, so that it is no text for people. */
function isName(node: Node): boolean {
  const parent = node.parent
  if (isCaseClause(parent)) return true
  if (isBinaryExpression(parent)) return /^[!=]==?$/.test(parent.operatorToken.getText())
  if (isPropertyAssignment(parent)) return parent.initializer === node && NAMING_KEY.test(parent.name.getText())
  if (!isCallExpression(parent) && !isNewExpression(parent)) return false
  return parent.arguments?.[0] === node && TAKES_NAME.test(parent.expression.getText())
}

function statementChanges(node: Node): Change[] {
  // The condition of an `if` without else covers its body already.
  if (isIfStatement(node.parent) && node.parent.elseStatement === undefined) return []
  if (isExpressionStatement(node)) {
    if (isLeftAlone(node.expression)) return []
    const removed = replace('statement', node, ';')
    if (!isAwaitExpression(node.expression)) return [removed]
    return [removed, replace('await', node.expression, `void ${node.expression.expression.getText()}`)]
  }
  if (isReturnStatement(node)) {
    const value = node.expression
    if (value === undefined) return [replace('statement', node, ';')]
    return isAwaitExpression(value) ? [replace('await', value, value.expression.getText())] : []
  }
  const ends = isBreakStatement(node) || isContinueStatement(node) || isThrowStatement(node)
  return ends ? [replace('statement', node, ';')] : []
}
